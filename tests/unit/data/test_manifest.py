import hashlib
import json

import pytest

from tests.unit.data.material import index_row, write_index
from videomac.data.manifest import load_manifest, seal
from videomac.errors import DataError, StorageError
from videomac.storage.storage import Storage


@pytest.fixture
def path(tmp_path):
    return write_index(tmp_path, [[index_row("k", "s.tar")], [index_row("m", "t.tar")]])


def test_round_trip_gives_equal_bytes(path):
    manifest = load_manifest(path)
    with open(path, "rb") as file:
        assert seal(manifest) == file.read()
    assert load_manifest(path.removesuffix("/manifest.json")) == manifest
    assert len(manifest.digest) == 12


def test_any_change_is_noticed(path):
    with open(path) as file:
        text = file.read()
    Storage("/").write(path.lstrip("/"), text.replace('"samples": 1', '"samples": 2', 1).encode())
    with pytest.raises(StorageError, match="checksum"):
        load_manifest(path)


@pytest.mark.parametrize("name", ["../s.tar", "/etc/s.tar", "a/../../s.tar", ".hidden.tar", "s.zip"])
def test_shards_stay_below_their_folder(path, name):
    from videomac.records.manifest import Shard

    with pytest.raises(ValueError, match="expected a relative path"):
        Shard(name=name, bytes=1, sha256="", samples=1, frames=1, seconds=1.0)


@pytest.mark.parametrize("content", ["", "[]", "{}", "no json", '{"version": 1}'])
def test_other_files_are_no_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StorageError, match=r"not a manifest of videomac shards"):
        load_manifest(str(tmp_path))


def test_another_version_is_refused(path):
    with open(path) as file:
        body = {**json.load(file), "version": 99, "checksum": "0" * 64}
    text = json.dumps(body, indent=1, sort_keys=True)
    sealed = text.replace("0" * 64 + '",\n "frames"', hashlib.sha256(text.encode()).hexdigest() + '",\n "frames"', 1)
    Storage("/").write(path.lstrip("/"), sealed.encode())
    with pytest.raises(DataError, match=r"version: Input should be 1 \(found '99'\); rebuild the shards"):
        load_manifest(path)
