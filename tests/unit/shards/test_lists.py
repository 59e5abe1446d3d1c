"""List files as people have them."""

from __future__ import annotations

import pytest

from shards.lists import read_list
from shards.sources import find_sources
from videomac.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    def read_text(content: str | bytes):
        (tmp_path / "list.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_list(str(tmp_path), "list.txt", {}))

    return read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_any_encoding_is_read(read, encoding):
    assert [line.name for line in read("a.mp4\r\ncafé.mp4\n".encode(encoding))] == ["a.mp4", "café.mp4"]


@pytest.mark.parametrize(
    ("line", "path", "part"),
    [
        ("my video 3.mp4", "my video 3.mp4", (None, None)),
        ("d,e.mp4", "d,e.mp4", (None, None)),
        ('"d,e.mp4",0,1', "d,e.mp4", (0, 1)),
        ("a.mp4 1.5 3", "a.mp4", (1.5, 3)),
        ("a.mp4 0 1e1", "a.mp4", (0, 10)),
        ("a.mp4 0:59 1:00:00.5", "a.mp4", (59, 3600.5)),
        ("a.mp4 17", "a.mp4", (None, None)),
        ("a.mp4 # the first", "a.mp4", (None, None)),
        ("a.mp4\t0\t2", "a.mp4", (0, 2)),
    ],
)
def test_a_line_is_a_path_and_perhaps_a_part(read, line, path, part):
    (found,) = read(line)
    assert (found.path, (found.start_s, found.end_s)) == (path, part)


@pytest.mark.parametrize("line", ["path,start,end", "sub/", "a.mp4 -1 1", "a.mp4 50 3", "a.mp4 1:2:3:4 9", "b.zip"])
def test_any_other_line_is_an_error_that_names_it(read, line):
    with pytest.raises(ConfigError, match=r"list\.txt:2: .*; each line must be PATH_OR_URL \[START END\]"):
        read(f"a.mp4\n{line}\n")


def test_a_line_that_is_there_twice_has_names_of_its_own(read):
    lines = "a.mp4 0 1\na.mp4 0.0 1.0\na.mp4\n./a.mp4\na.mp4\na.mp4 123456.75 200000\na.mp4 123456.5 200000\n"
    names = [line.name for line in read(lines)]
    assert names[:3] == ["a@0-1.mp4", "a@0-1~2.mp4", "a.mp4"]
    assert len(set(names)) == 7


def test_the_signature_of_a_url_is_read_with_and_never_written(read):
    (line,) = read("https://host/a/b.mp4?X-Amz-Signature=sec/ret 1 2")
    assert line.place == "https://host/a/b.mp4?X-Amz-Signature=sec/ret"
    assert line.name == "https://host/a/b@1-2.mp4"


def test_home_and_urls_of_files_are_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.mp4").write_bytes(b"1")
    (tmp_path / "list.txt").write_text(f"~/a.mp4\nfile://{tmp_path}/a.mp4\n")

    found = find_sources(str(tmp_path / "list.txt"), {}, None).sources

    assert [source.size for source in found] == [1, 1]
