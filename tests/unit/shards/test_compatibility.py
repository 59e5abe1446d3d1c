"""Shards, records and manifests of version 66eb288 (tests/fixtures/shards_66eb288) are read and gone on with."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from shards.build import build_shards
from shards.chunk import make_chunk, settings_of
from shards.sources import find_sources
from shards.verify import shard_problems
from tests.unit.data.material import build_settings, pretrain_settings, recipe_for
from videomac.data.in_process import iterate
from videomac.data.manifest import load_manifest
from videomac.data.plan import read_plan
from videomac.errors import ConfigError
from videomac.storage.storage import Storage

VIDEOS = ("decord__corrupted.mp4", "decord__unordered.mov", "decord__video_0.mov")


@pytest.fixture
def old(fixtures, tmp_path) -> Path:
    return Path(shutil.copytree(fixtures / "shards_66eb288", tmp_path / "old"))


@pytest.fixture
def source(fixtures, tmp_path, old) -> Path:
    """What the old shards were built from, with the times that the files had."""
    folder = tmp_path / "source"
    (folder / "frames").mkdir(parents=True)
    for name in VIDEOS:
        shutil.copy(fixtures / name, folder)
    with tarfile.open(old / "clips-000000-000.tar") as tar:
        for member in (m for m in tar if m.name.endswith(".png")):
            number = int(member.name.split(".")[1])
            (folder / "frames" / f"{number}.png").write_bytes(tar.extractfile(member).read())
    for path in folder.rglob("*.*"):
        os.utime(path, (10**9, 10**9))
    return folder


def built(source: Path, out: Path, **values):
    values = {"fps": 8.0, "min_duration_s": 0.0, "segment_s": 30.0, **values}
    settings = build_settings(source=str(source), out=str(out), **values)
    sources = find_sources(settings.source, {}, settings.fps).sources
    split = {one.name: "val" if "video_0" in one.name else "train" for one in sources}
    return make_chunk(0, sources, split, settings, {"av": "fixed"})


def test_old_shards_are_used_and_verified(old):
    manifest = load_manifest(str(old))
    assert manifest.samples == {"train": 2, "val": 1}
    assert shard_problems(Storage(str(old)), "manifest.json", 0) == []
    run = pretrain_settings(str(old / "manifest.json"), **{"data.gap_s": [0.03, 0.1]})
    (batch,) = iterate(read_plan(run.data, 0), recipe_for(run), 0, 4, 4)
    assert batch.weight_b.tolist() == [1, 1, 1, 1]


def test_a_finished_chunk_of_an_old_build_is_kept(old, source):
    again = built(source, old)
    assert again.is_kept
    assert [shard.name for shard in again.record.shards] == ["clips-000000-000.tar"]
    assert [one.reason for one in again.record.rejected] == ["broken"]


def test_new_shards_are_the_old_ones_byte_for_byte(old, source, tmp_path):
    record = built(source, tmp_path / "new").record
    name = record.shards[0].name
    assert (tmp_path / "new" / name).read_bytes() == (old / name).read_bytes()
    assert record.content_digest == built(source, old).record.content_digest


def test_limits_of_the_process_are_no_settings_of_the_shards(old, source):
    settings = build_settings(source=str(source), out=str(old), fps=8.0, min_duration_s=0.0, segment_s=30.0)
    assert settings_of(settings) == load_manifest(str(old)).settings
    assert built(source, old, bounds={"max_memory_mb": 300, "max_file_mb": 100}).is_kept
    with pytest.raises(ConfigError, match=r"built with other settings \(segment_s: 30.0 -> 5.0\)"):
        build_shards(settings.with_values(segment_s=5.0))


def test_a_record_that_is_not_understood_is_built_again(old, source):
    (old / ".build" / "000000.json").write_text('{"fingerprint": "of another version"}')
    assert not built(source, old).is_kept
    assert built(source, old).is_kept
