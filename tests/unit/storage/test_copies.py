"""Whole files and folders by path or URL."""

from __future__ import annotations

import pytest

from tests.memory_store import MemoryFiles
from videomac.errors import DamagedFileError, MissingFileError, StorageError
from videomac.storage import copies
from videomac.storage.checksums import sha256_of


@pytest.fixture(params=["local", "store"])
def root(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "root")
    request.getfixturevalue("memory_store")
    return "memory://bucket/root"


def test_a_file_is_written_read_and_found(root):
    assert not copies.exists(f"{root}/a/file")
    assert copies.read_if_there(f"{root}/a/file") is None
    copies.write_file(f"{root}/a/file", b"content")
    assert copies.read_file(f"{root}/a/file") == b"content"
    assert copies.exists(f"{root}/a/file")
    assert not copies.exists(f"{root}/a"), "a folder is not a file"
    assert copies.is_folder(f"{root}/a")
    assert not copies.is_folder(f"{root}/a/file")
    with pytest.raises(MissingFileError, match="root/nothing"):
        copies.read_file(f"{root}/nothing")


def test_a_folder_is_uploaded_as_a_whole_and_copied_back(root):
    copies.write_file(f"{root}/kept", b"old")
    with copies.uploaded(root) as folder:
        (folder / "one").write_bytes(b"1")
        (folder / "sub").mkdir()
        (folder / "sub" / "two").write_bytes(b"22")
    with copies.local_copy(root) as copy:
        found = {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert found == {"kept": b"old", "one": b"1", "sub/two": b"22"}
    with copies.local_copy(f"{root}/sub/two") as copy:
        assert (copy.name, copy.read_bytes()) == ("two", b"22")


def test_an_error_in_the_block_uploads_nothing(root):

    def stop(folder):
        (folder / "one").write_bytes(b"1")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), copies.uploaded(root) as folder:
        stop(folder)
    assert not copies.exists(f"{root}/one")


def test_the_marker_goes_first_and_comes_last(memory_store):
    """A reader in between finds no marker, hence no half of an export."""
    url = "memory://bucket/export"
    copies.write_file(f"{url}/card.json", b"old card")
    copies.write_file(f"{url}/weights", b"old weights")
    with copies.uploaded(url, last="card.json") as folder:
        (folder / "card.json").write_bytes(b"new card")
        (folder / "weights").write_bytes(b"new weights")
        (folder / "z").write_bytes(b"z")
    assert list(memory_store.objects) == [f"{url}/weights", f"{url}/z", f"{url}/card.json"]


def test_a_write_that_fails_leaves_no_marker(memory_store, monkeypatch, tmp_path):
    url = "memory://bucket/export"
    copies.write_file(f"{url}/card.json", b"old card")
    upload = MemoryFiles.upload

    def fails(self, name, local_path):
        if name.endswith("weights"):
            raise OSError("full")
        upload(self, name, local_path)

    monkeypatch.setattr(MemoryFiles, "upload", fails)
    (tmp_path / "card.json").write_bytes(b"new card")
    (tmp_path / "weights").write_bytes(b"new weights")
    with pytest.raises(StorageError):
        copies.upload_folder(tmp_path, url, last="card.json")
    assert not memory_store.objects


def test_a_local_file_or_folder_is_its_own_copy(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for url in (str(tmp_path), f"file://{tmp_path}"):
        with copies.local_copy(url) as copy:
            assert copy == tmp_path
        with copies.local_copy(f"{url}/file") as copy:
            assert copy == tmp_path / "file"


def test_wanted_files_are_copied_and_their_hashes_checked(memory_store):
    url = "memory://bucket/folder"
    for name in ("a", "b", "c"):
        copies.write_file(f"{url}/{name}", name.encode())
    with copies.local_copy(url, {"a": sha256_of(b"a"), "b": None}) as copy:
        assert sorted(path.name for path in copy.iterdir()) == ["a", "b"]
    with pytest.raises(DamagedFileError, match=r"folder/a: .*"), copies.local_copy(url, {"a": sha256_of(b"other")}):
        pass


def test_a_copy_is_made_again_after_faults(memory_store):
    url = "memory://bucket/folder"
    copies.write_file(f"{url}/a", b"content")
    memory_store.failures += [ConnectionResetError(), ConnectionResetError()]
    with copies.local_copy(f"{url}/a") as copy:
        assert copy.read_bytes() == b"content"


def test_a_name_that_leaves_the_folder_is_not_copied(memory_store):
    memory_store.objects["memory://bucket/folder/../../evil"] = b"x"
    memory_store.objects["memory://bucket/folder/good"] = b"y"
    with copies.local_copy("memory://bucket/folder") as copy:
        assert [path.name for path in copy.rglob("*")] == ["good"]
    wanted = copies.local_copy("memory://bucket/folder", {"../../evil": None})
    with pytest.raises(StorageError, match=r"'\.\./\.\./evil' leaves the folder"):
        wanted.__enter__()


def test_storages_of_a_bucket_are_shared_until_the_environment_changes(memory_store, monkeypatch):
    first = copies.place_of("memory://bucket/a")[0]
    assert copies.place_of("memory://bucket/b/c") == (first, "b/c")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other")
    assert copies.place_of("memory://bucket/a")[0] is not first
