"""Only files that an earlier build into the same folder has named are replaced or removed."""

from __future__ import annotations

import json

import pytest

from shards.chunk import read_record, write_record
from shards.own_files import own_files, remove_stale
from tests.unit.data.material import write_shards, write_video
from videomac.data.manifest import load_manifest
from videomac.errors import ConfigError
from videomac.records.shards import ChunkRecord, ShardRecord
from videomac.storage.storage import Storage


@pytest.fixture
def out(tmp_path):
    return Storage(str(tmp_path / "out"))


def record(*names, left=(), fingerprint="f"):
    shards = tuple(ShardRecord(name=name, bytes=1, sha256="0", rows=()) for name in names)
    return ChunkRecord(fingerprint=fingerprint, shards=shards, rejected=(), content_digest="", left=left)


def files(tmp_path):
    return {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["clips-mine.tar", "clips-2019.tar", "sub/clips-000000-000.tar", "clips-000009-000.tar"]
)
def test_archives_of_others_are_left_alone(out, tmp_path, name):
    out.write(name, b"mine")

    own = own_files(out, None, chunks=3)
    remove_stale(out, own, chunks=3)

    assert own == set()
    assert files(tmp_path) == {name}


@pytest.mark.parametrize("name", ["clips-000002-000.tar", "clips-000000-017.tar", "index.parquet", "rejected.jsonl"])
def test_a_build_that_would_write_over_a_file_of_others_is_refused(out, name):
    out.write(name, b"mine")

    with pytest.raises(ConfigError, match=f"out: .*{name} was not made by an earlier build .* move the file away"):
        own_files(out, None, chunks=3)

    assert out.read(name) == b"mine"


def test_shards_of_an_unfinished_build_are_its_own(out):
    out.write("clips-000001-000.tar", b"being written")
    write_record(out, 1, record("clips-000001-000.tar", left=("clips-000001-001.tar",), fingerprint=""))
    out.write("clips-000001-001.tar", b"of the build before")

    assert own_files(out, None, chunks=3) == {"clips-000001-000.tar", "clips-000001-001.tar"}


def test_what_is_written_of_removed_shards_goes_with_them(out, tmp_path):
    write_record(out, 0, record("clips-000000-000.tar", left=("clips-000000-001.tar",)))
    write_record(out, 5, record("clips-000005-000.tar"))
    for name in ("clips-000000-000.tar", "clips-000000-001.tar", "clips-000005-000.tar"):
        out.write(name, b"ours")

    remove_stale(out, {"clips-000000-001.tar", "clips-000005-000.tar"}, chunks=1)

    assert files(tmp_path) == {"clips-000000-000.tar", ".build/000000.json"}
    kept = read_record(out, 0)
    assert kept is not None
    assert kept.left == ()
    for name in ("clips-000000-001.tar", "clips-000005-000.tar"):  # since then somebody's own
        out.write(name, b"mine")
    assert own_files(out, None, chunks=0) == {"clips-000000-000.tar"}


def test_a_file_that_appears_beside_a_finished_build_is_not_its_own(tmp_path):
    manifest = load_manifest(write_shards(tmp_path / "out", [write_video(tmp_path / "a.mp4", 24)]))
    out = Storage(str(tmp_path / "out"))
    (name,) = (shard.name for shard in manifest.shards)
    out.write("clips-000000-001.tar", b"mine")

    with pytest.raises(ConfigError, match=r"clips-000000-001\.tar was not made by"):
        own_files(out, manifest, chunks=1)

    out.remove("clips-000000-001.tar")
    assert own_files(out, manifest, chunks=1) == {name}


def test_records_of_version_66eb288_are_read(out):
    old = {"fingerprint": "f", "shards": [], "rejected": [], "content_digest": ""}
    out.write(".build/000000.json", json.dumps(old).encode())

    found = read_record(out, 0)

    assert found is not None
    assert found.left == ()
