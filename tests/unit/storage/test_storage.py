import pytest

from videomac.config import Data
from videomac.errors import ConfigError, StorageError
from videomac.storage.entries import PIECE_BYTES
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
