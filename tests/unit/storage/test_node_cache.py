"""Folders that the processes of a node share."""

import os
import threading
import time

import pytest

from videomac.errors import StorageError
from videomac.storage import node_cache
from videomac.storage.node_cache import NodeCache

ADVICE = "set the.key"


@pytest.fixture
def made():
    return []


def ask(root, made, key="a", content=b"x" * 100, most=1000, expected=100):
    def make(folder):
        made.append(key)
        (folder / "file").write_bytes(content)

    return NodeCache(str(root), most, ADVICE).folder(key, make, expected)


def test_a_folder_is_made_once_by_one_of_many_that_ask_at_the_same_moment(tmp_path, made):
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask(tmp_path, made))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert {(path / "file").read_bytes() for path in found} == {b"x" * 100}
    assert len(found) == 8


def test_a_folder_appears_whole_or_not_at_all(tmp_path, made):
    def dies(folder):
        (folder / "file").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NodeCache(str(tmp_path), 1000, ADVICE).folder("a", dies, 100)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    (tmp_path / ".b.partial").mkdir()  # of a process that was killed
    ask(tmp_path, made)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a"]


@pytest.mark.parametrize("damage", ["shorter", "rewritten", "gone", "no stamp", "torn stamp"])
def test_a_folder_with_other_files_than_it_was_left_with_is_made_again(tmp_path, made, damage):
    path = ask(tmp_path, made)
    file, stamp = path / "file", path / node_cache.STAMP
    if damage == "shorter":
        os.truncate(file, 50)
    elif damage == "rewritten":
        file.write_bytes(b"y" * 100)
        os.utime(file, ns=(0, 0))
    elif damage == "gone":
        file.unlink()
    elif damage == "no stamp":
        stamp.unlink()
    else:
        os.truncate(stamp, 20)
    assert (ask(tmp_path, made) / "file").read_bytes() == b"x" * 100
    assert made == ["a", "a"]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_content_is_checked_again_after_a_while(tmp_path, made, damaged):
    path = ask(tmp_path, made)
    if damaged:  # as a failing disk does it: nothing shows
        about = (path / "file").stat()
        (path / "file").write_bytes(b"y" + b"x" * 99)
        os.utime(path / "file", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert ask(tmp_path, made) == path
    assert made == ["a"]
    long_ago = time.time() - 2 * node_cache.CHECK_AFTER_S
    os.utime(path / node_cache.STAMP, (long_ago, long_ago))
    assert (ask(tmp_path, made) / "file").read_bytes() == b"x" * 100
    assert made == ["a"] * (1 + damaged)
    assert time.time() - (path / node_cache.STAMP).stat().st_mtime < node_cache.CHECK_AFTER_S


def test_the_folders_unused_for_longest_make_room(tmp_path, made):
    paths = {key: ask(tmp_path, made, key, most=700) for key in "abc"}  # a stamp takes some 130 bytes beside them
    for age, key in enumerate("bca"):
        os.utime(paths[key], (age, age))
    ask(tmp_path, made, "d", most=700)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a", "c", "d"]


def test_a_place_that_will_not_do_is_one_line_that_says_what_to_set(tmp_path, made, monkeypatch):
    with pytest.raises(StorageError, match=r"2 MiB for one copy exceed the bound; set the\.key"):
        ask(tmp_path, made, expected=2 << 20)
    monkeypatch.setattr(node_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(StorageError, match=r"2 MiB for a copy, but 1 MiB are free; set the\.key"):
        ask(tmp_path, made, most=3 << 20, expected=2 << 20)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"file: a file stands where a folder is expected.*; set the\.key"):
        ask(tmp_path / "file", made)
    with monkeypatch.context() as patched:
        patched.setattr(node_cache.os, "getuid", lambda: 12345)
        with pytest.raises(StorageError, match=r"belongs to another user; set the\.key"):
            ask(tmp_path / "theirs", made)
    assert made == []
