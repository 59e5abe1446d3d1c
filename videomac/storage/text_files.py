"""Text of people's own files: UTF-8 with or without a byte order mark, UTF-16, UTF-32 or Latin-1."""

from __future__ import annotations

import codecs
from pathlib import Path

from videomac.errors import VideomacError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the encodings that take them off."""


def decoded(content: bytes, place: str, error: type[VideomacError]) -> str:
    """Return the text of a file with `\\n` as the end of its lines; `place` names the file.

    Raises:
        error: it is not text; the message names the line.
    """
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].decode(encoding, "ignore").count("\n") + 1
        raise error(
            f"{place}, line {line}: byte {wrong.start} is not {encoding} ({wrong.reason}); "
            "expected text: save the file as UTF-8"
        ) from wrong
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise error(f"{place}, line {line}: holds a zero byte; expected text: save the file as UTF-8")
    return text


def read_local_text(path: Path, error: type[VideomacError]) -> str:
    """Return the text of a file on this machine.

    Raises:
        error: it cannot be read, or is not text.
    """
    try:
        content = path.read_bytes()
    except OSError as wrong:
        raise error(f"{path}: cannot be read ({wrong})") from wrong
    return decoded(content, str(path), error)


def _encoding(content: bytes) -> str:
    marked = next((encoding for mark, encoding in MARKS if content.startswith(mark)), None)
    if marked is not None:
        return marked
    # ASCII in UTF-16 without a mark has a zero in every other byte.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if content.count(0) > 0 and 2 * content[first::2].count(0) > len(content[first::2]):
            return encoding
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
