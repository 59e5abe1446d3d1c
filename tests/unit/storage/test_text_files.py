"""Text in the encodings that people's files have."""

from __future__ import annotations

import codecs

import pytest

from videomac.errors import EvaluationError
from videomac.storage.text_files import decoded, read_local_text

TEXT = "café one\nthree\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("latin-1"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode("latin-1"),
    ],
)
def test_one_text_in_every_encoding(content):
    assert decoded(content, "list.txt", EvaluationError) == TEXT


def test_an_empty_file_is_text():
    assert decoded(b"", "list.txt", EvaluationError) == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo\0three", r"list\.txt, line 2: holds a zero byte"),
        (codecs.BOM_UTF16_LE + "one\nt".encode("utf-16-le") + b"x", r"list\.txt, line 2: byte 12 is not utf-16"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(content, message):
    with pytest.raises(EvaluationError, match=message):
        decoded(content, "list.txt", EvaluationError)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EvaluationError, match=r"list\.txt: cannot be read"):
        read_local_text(tmp_path / "list.txt", EvaluationError)
