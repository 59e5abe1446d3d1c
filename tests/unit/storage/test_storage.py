"""The one layer of retries, limits, counts and errors."""

from __future__ import annotations

import pickle

import pytest

from tests.memory_store import MemoryFiles
from videomac.config import Data
from videomac.errors import ConfigError, DamagedFileError, MissingFileError, StorageError
from videomac.storage.entries import PIECE_BYTES, Advice, Patience
from videomac.storage.storage import Storage


def test_files_round_trip_whole_and_in_parts(tmp_path):
    storage = Storage(str(tmp_path))
    content = bytes(range(256)) * 10
    storage.write("sub/file.bin", content)
    assert storage.read("sub/file.bin") == content
    assert storage.read("sub/file.bin", 100, 7) == content[100:107]
    assert storage.read("sub/file.bin", 100, 0) == b""
    assert b"".join(storage.pieces("sub/file.bin")) == content
    assert storage.exists("sub/file.bin")
    assert [(e.name, e.size) for e in storage.list()] == [("sub/file.bin", len(content))]
    storage.remove("sub/file.bin")
    storage.remove("sub/file.bin")
    assert not storage.exists("sub/file.bin")


def test_large_files_come_in_pieces(tmp_path):
    (tmp_path / "big").write_bytes(b"ab" * (PIECE_BYTES // 2 + 100))
    storage = Storage(str(tmp_path))
    pieces = [len(piece) for piece in storage.pieces("big")]
    assert pieces == [PIECE_BYTES, 200]
    assert len(storage.read("big")) == PIECE_BYTES + 200


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write("file", b"old")
    with pytest.raises(FileNotFoundError):
        storage.upload("file", str(tmp_path / "no such file"))
    with pytest.raises(TypeError):
        storage.write("file", "text")  # type: ignore[arg-type]
    assert storage.read("file") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_hidden_files_are_not_listed(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write(".build/000000.json", b"{}")
    storage.write("seen", b"")
    assert [entry.name for entry in storage.list()] == ["seen"]


def test_errors_name_the_path(tmp_path):
    with pytest.raises(StorageError, match=r"nothing: does not exist"):
        Storage(str(tmp_path)).read("nothing")
    with pytest.raises(StorageError, match="does not exist"):
        Storage(str(tmp_path / "no folder")).list()
    with pytest.raises(ConfigError, match=r"unknown \['pasword'\]"):
        Storage("s3://bucket", {"pasword": "x"})
    with pytest.raises(ConfigError, match="use a local path"):
        Storage("nosuch://bucket")


def test_papers_pairs_are_opened_one_by_one():
    with pytest.raises(ValueError, match="neighbours_6fps needs 1, got 2"):
        Data(manifest="m", pair_sampling="neighbours_6fps")


def test_a_missing_file_and_a_damaged_one_have_classes_of_their_own(tmp_path):
    storage = Storage(str(tmp_path), advice=Advice(missing="make it", damaged="verify it"))
    storage.write("file", b"12345")
    with pytest.raises(MissingFileError, match="does not exist; check the path, or make it"):
        storage.read("nothing")
    with pytest.raises(DamagedFileError, match="5 bytes came for 10; verify it"):
        storage.read("file", 0, 10)
    assert storage.read_if_there("nothing") is None
    assert not storage.exists("nothing")
    assert storage.is_folder()
    assert not storage.is_folder("file")
    assert storage.read_version("nothing") == (b"", None)


def test_a_listing_below_a_folder_keeps_names_relative_to_the_root(tmp_path):
    storage = Storage(str(tmp_path))
    for name in ("a/one", "a/b/two", "c", "a/.hidden"):
        storage.write(name, b"")
    assert [entry.name for entry in storage.list("a")] == ["a/b/two", "a/one"]
    with pytest.raises(MissingFileError):
        storage.list("nothing")


def test_every_request_is_counted_and_every_retry_by_its_fault(memory_store):
    storage = Storage("memory://bucket/root")
    storage.write("file", b"12345")
    memory_store.failures += [ConnectionResetError(), ConnectionRefusedError()]
    assert storage.read("file", 1, 3) == b"234"
    assert storage.counts["requests"] == 4
    assert storage.counts["bytes"] == 3
    assert storage.counts["retries"] == 2
    assert storage.counts["retries_ConnectionResetError"] == 1


def test_a_fault_that_stays_ends_at_the_deadline_and_a_403_after_three(memory_store):
    storage = Storage("memory://bucket/root", patience=Patience(deadline_s=0.5, attempt_s=0.1))
    memory_store.failures += [ConnectionResetError()] * 100
    with pytest.raises(StorageError, match=r"root/file: ConnectionResetError.*attempts in \d+\.\d s"):
        storage.write("file", b"")
    memory_store.failures.clear()
    once = storage.with_patience(Patience(deadline_s=0.0))
    memory_store.failures += [ConnectionResetError()] * 2
    with pytest.raises(StorageError):
        once.write("file", b"")
    assert len(memory_store.failures) == 1, "no time: one attempt"
    for first, attempts in ((True, 1), (False, 3)):
        memory_store.failures[:] = [PermissionError()] * 10
        with pytest.raises(StorageError, match="PermissionError"):
            Storage("memory://bucket/root").read("file", 0, 1, first=first)
        assert len(memory_store.failures) == 10 - attempts


def test_a_download_is_checked_and_made_again(memory_store, monkeypatch, tmp_path):
    storage = Storage("memory://bucket/root")
    storage.write("file", b"right")
    read, answers = MemoryFiles.read, [b"wrong", b"right"]
    monkeypatch.setattr(MemoryFiles, "read", lambda *asked: answers.pop(0) if answers else read(*asked))
    storage.download("file", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"right"
    assert storage.counts["retries"] == 1
    with pytest.raises(DamagedFileError, match="root/file"):
        storage.download("file", str(tmp_path / "copy"), sha256="0" * 64)
    with pytest.raises(StorageError, match="nowhere/copy: does not exist"):
        storage.download("file", str(tmp_path / "nowhere" / "copy"))


def test_a_storage_survives_pickling_with_its_options_limits_and_advice():
    storage = Storage("s3://bucket", {"key": "k", "secret": "s"}, Patience(1.0, 2.0), Advice(missing="make it"))
    again = pickle.loads(pickle.dumps(storage))
    assert vars(again)["_options"] == {"key": "k", "secret": "s"}
    assert (again.patience, again._advice) == (Patience(1.0, 2.0), Advice(missing="make it"))


@pytest.mark.parametrize("start", ["file://{}", "~", "{}"])
def test_a_local_folder_has_several_spellings(tmp_path, monkeypatch, start):
    monkeypatch.setenv("HOME", str(tmp_path))
    Storage(f"{start.format(tmp_path)}/sub").write("file", b"x")
    assert (tmp_path / "sub" / "file").read_bytes() == b"x"
