"""Files of this machine: replaced as a whole, and swapped only in the version that was seen."""

from __future__ import annotations

import concurrent.futures
import errno
import os

import pytest

from videomac.storage.entries import MISSING, NO_ADVICE, Advice, ChangedError
from videomac.storage.local_files import LocalFiles


@pytest.fixture
def files(tmp_path):
    return LocalFiles(str(tmp_path))


def test_reading_whole_and_by_position(files):
    files.write("sub/file", b"0123456789")
    assert files.read_whole("sub/file") == b"0123456789"
    assert files.read("sub/file", 3, 4) == b"3456"
    assert files.read("sub/file", 8, 100) == b"89"
    assert files.local_path("sub/file").endswith("sub/file")
    assert files.entry("sub/file").size == 10


def test_a_folder_is_not_a_file(files):
    files.write("sub/file", b"")
    assert files.is_folder("sub")
    assert files.is_folder("")
    assert not files.is_folder("sub/file")
    with pytest.raises(FileNotFoundError):
        files.entry("sub")
    with pytest.raises(FileNotFoundError):
        files.list("nothing")


def test_a_listing_follows_links_and_names_dangling_ones(files, tmp_path):
    files.write("a/one", b"1")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "nowhere")
    found = {entry.name: entry.version for entry in files.list("")}
    assert found.keys() == {"a/one", "a/gone", "link/one", "link/gone"}
    assert found["a/gone"] == MISSING
    assert {entry.name for entry in files.list("a")} == {"a/one", "a/gone"}


def test_appending_creates_the_file(files):
    files.append("new/lines", b"1\n")
    files.append("new/lines", b"2\n")
    assert files.read_whole("new/lines") == b"1\n2\n"


def test_a_swap_compares_versions(files):
    first = files.swap("file", b"1", None)
    assert first == files.version("file")
    with pytest.raises(ChangedError):
        files.swap("file", b"x", None)
    second = files.swap("file", b"2", first)
    with pytest.raises(ChangedError):
        files.swap("file", b"x", first)
    with pytest.raises(ChangedError):
        files.swap("file", None, first)
    assert files.read_whole("file") == b"2"
    assert files.swap("file", None, second) is None
    assert files.swap("file", None, None) is None
    with pytest.raises(FileNotFoundError):
        files.version("file")


def test_of_many_swaps_at_once_one_gets_through(files):
    def swap(number):
        try:
            return files.swap("file", str(number).encode(), None)
        except ChangedError:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(swap, range(16)))
    (winner,) = [number for number, version in enumerate(outcomes) if version is not None]
    assert files.read_whole("file") == str(winner).encode()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOENT, "does not exist; check the path, or make it"),
        (errno.EACCES, "permission denied; choose a place that you may use"),
        (errno.EROFS, "permission denied"),
        (errno.ENOTDIR, "a file stands where a folder is expected"),
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EIO, "input/output error"),
    ],
)
def test_an_error_says_what_to_do(files, number, text):
    assert files.explain(OSError(number, os.strerror(number)), Advice(missing="make it")).startswith(text)
    assert not files.may_pass(OSError(number, os.strerror(number)))
    assert files.explain(OSError("only words"), NO_ADVICE) == "only words"
