"""Shards from every kind of source, built by Ray tasks, and the commands that inspect them."""

from __future__ import annotations

import json
import shutil

import boto3
import pyarrow.parquet as pq
import pytest
import torch

from shards.build import build_shards
from shards.index import index_shards
from shards.show import show_shards
from shards.verify import verify_shards
from tests.unit.data.material import build_settings, pretrain_settings, recipe_for, write_video
from tests.unit.pretrain.conftest import make_settings
from videomac import config
from videomac.data.in_process import iterate
from videomac.data.manifest import load_manifest
from videomac.data.plan import read_plan
from videomac.errors import ConfigError, DataError
from videomac.pretrain.setup import build_state, derive_extent
from videomac.pretrain.step import train_step

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def pile(tmp_path_factory, fixtures):
    """Six videos in folders, a copy of one of them, and a corrupt one."""
    folder = tmp_path_factory.mktemp("pile")
    for i in range(6):
        (folder / f"d{i % 2}").mkdir(exist_ok=True)
        write_video(folder / f"d{i % 2}" / f"v{i}.mp4", 30 + 3 * i)
    shutil.copy(folder / "d0" / "v0.mp4", folder / "d1" / "copy.mp4")
    shutil.copy(fixtures / "decord__corrupted.mp4", folder / "corrupt.mp4")
    return folder


def settings(source, out, **values):
    return build_settings(source=str(source), out=str(out), **{"shard_mb": 0.012, "val_share": 0.3, **values})


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}


def rows_of(folder):
    return pq.read_table(folder / "index.parquet").to_pylist()


def first_batch(manifest, **dotted):
    run = pretrain_settings(str(manifest), **dotted)
    return next(iterate(read_plan(run.data, 0), recipe_for(run), 0, 8, 8))


def test_a_pile_becomes_shards_and_every_dropped_source_is_named(ray_cluster, pile, tmp_path):
    seen = []
    manifest = build_shards(settings(pile, tmp_path / "one"), lambda done, total, what: seen.append((done, total)))
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]
    rows = rows_of(tmp_path / "one")
    assert {row["source"] for row in rows} == {f"d{i % 2}/v{i}.mp4" for i in range(1, 6)} | {"d0/v0.mp4"}
    rejected = [json.loads(line) for line in (tmp_path / "one" / "rejected.jsonl").read_text().splitlines()]
    assert {row["source"]: row["reason"] for row in rejected} == {"corrupt.mp4": "broken", "d1/copy.mp4": "duplicate"}
    assert manifest.rejected == {"broken": 1, "duplicate": 1}
    assert set(manifest.samples) == {"train", "val"}
    assert len(manifest.shards) > 1
    assert manifest == load_manifest(str(tmp_path / "one"))
    build_shards(settings(pile, tmp_path / "two", parallel=1))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two"), "equal input, equal bytes, however parallel"
    verify_shards(config.VerifyShards(manifest=str(tmp_path / "one" / "manifest.json")))
    assert first_batch(tmp_path / "one" / "manifest.json").weight_b.sum() == 8


def test_an_interrupted_build_continues(ray_cluster, pile, tmp_path):
    whole = build_shards(settings(pile, tmp_path / "whole"))
    half = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", half)
    for path in [*half.glob("clips-000002*"), *half.glob(".build/000002*"), half / "manifest.json"]:
        path.unlink()
    first = min(half.glob("*.tar"))
    stamp = first.stat().st_mtime_ns
    kept = []
    again = build_shards(settings(pile, half), lambda done, total, what: kept.append("(kept)" in what))
    assert again == whole
    assert kept.count(False) == 1
    assert first.stat().st_mtime_ns == stamp
    with pytest.raises(
        ConfigError, match=r"shards built with other settings \(segment_s: 60.0 -> 5.0\); choose another folder"
    ):
        build_shards(settings(pile, half, segment_s=5.0))


def test_a_davis_folder_becomes_shards_and_trains(ray_cluster, sample_davis, tmp_path):
    build_shards(settings(sample_davis, tmp_path, fps=24.0, shard_mb=1.0, val_share=0.0))
    rows = rows_of(tmp_path)
    assert {(row["kind"], row["frames"], row["fps"]) for row in rows} == {("frames", 50, 24.0), ("frames", 60, 24.0)}
    batch = first_batch(tmp_path / "manifest.json")
    assert batch.weight_b.tolist() == [1] * 8
    assert (batch.frames_b2hwc[:, 0] != batch.frames_b2hwc[:, 1]).any()
    verify_shards(config.VerifyShards(manifest=str(tmp_path)))
    state = trained(tmp_path / "manifest.json", steps=2)
    assert (state.step, state.rows_used, state.bad_rows, state.skipped_steps) == (2, 8, 0, 0)


def trained(manifest, steps):
    """Return a small network after its first steps on the rows of these shards."""
    run = make_settings(data__manifest=str(manifest), data__gap_s=[0.1, 0.3])
    plan = read_plan(run.data, 0)
    state = build_state(run, derive_extent(run, plan.rows_per_epoch, 1), torch.device("cpu"))
    batches = iterate(plan, recipe_for(run), 0, steps * run.train.batch_size, run.train.micro_batch)
    assert all(0 < train_step(state, batches).loss < 5 for _ in range(steps))
    return state


def test_damage_is_detected_and_named(ray_cluster, pile, tmp_path):
    build_shards(settings(pile, tmp_path / "x"))
    shard = tmp_path / "x" / "clips-000002-000.tar"
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"clips-000002-000\.tar: .* not as in the manifest; remove these shards and"):
        verify_shards(config.VerifyShards(manifest=str(tmp_path / "x")))
    shard.unlink()
    with pytest.raises(DataError, match=r"clips-000002-000\.tar: .*does not exist"):
        verify_shards(config.VerifyShards(manifest=str(tmp_path / "x")))


def test_tars_that_others_made_are_used_after_indexing(ray_cluster, pile, sample_davis, tmp_path):
    built = build_shards(settings(pile, tmp_path / "ours"))
    for path in (tmp_path / "ours").glob("*.tar"):
        (tmp_path / "foreign").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "foreign")
    manifest = index_shards(config.IndexShards(tars=str(tmp_path / "foreign")))
    assert manifest.samples == built.samples
    columns = ("key", "offset", "size", "sha256", "frames", "fps", "duration", "split")
    ours, foreign = (
        [{name: row[name] for name in columns} for row in rows_of(tmp_path / name)] for name in ("ours", "foreign")
    )
    assert foreign == ours
    one, other = (first_batch(tmp_path / name / "manifest.json") for name in ("ours", "foreign"))
    assert one.frames_b2hwc.equal(other.frames_b2hwc)
    with pytest.raises(ConfigError, match=r"has a manifest\.json already"):
        index_shards(config.IndexShards(tars=str(tmp_path / "foreign")))
    with pytest.raises(DataError, match=r"no \*\.tar below it"):
        index_shards(config.IndexShards(tars=str(pile)))


def test_the_page_shows_pairs_as_training_sees_them(ray_cluster, pile, tmp_path, capsys):
    build_shards(settings(pile, tmp_path / "x"))
    show_shards(config.ShowShards(manifest=str(tmp_path / "x"), out=str(tmp_path / "page.html"), pairs=4))
    html = (tmp_path / "page.html").read_text()
    assert html.count("visible of frame 1") >= 4
    assert "rejected            broken: 1, duplicate: 1" in capsys.readouterr().out


@pytest.mark.timeout(300)
def test_from_s3_to_s3_and_into_batches(ray_cluster, pile, s3_server, s3_bucket, tmp_path):
    options = {"endpoint_url": s3_server, "key": "test", "secret": "test", "region": "us-east-1"}
    client, bucket = boto3.client("s3"), s3_bucket.removeprefix("s3://")
    for path in pile.rglob("*.mp4"):
        client.upload_file(str(path), bucket, f"raw/{path.relative_to(pile)}")
    here = build_shards(settings(pile, tmp_path / "here"))
    there = build_shards(settings(f"{s3_bucket}/raw", f"{s3_bucket}/out", storage_options=options))
    assert [shard.sha256 for shard in there.shards] == [shard.sha256 for shard in here.shards]
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    verify_shards(config.VerifyShards(manifest=f"{s3_bucket}/out/manifest.json", storage_options=options))
    page = f"{s3_bucket}/page.html"
    show_shards(
        config.ShowShards(manifest=f"{s3_bucket}/out/manifest.json", out=page, pairs=2, storage_options=options)
    )
    assert client.head_object(Bucket=bucket, Key="page.html")["ContentLength"] > 1000
    dotted = {f"data.storage_options.{name}": value for name, value in options.items()}
    near, far = (
        first_batch(tmp_path / "here" / "manifest.json"),
        first_batch(f"{s3_bucket}/out/manifest.json", **dotted),
    )
    assert near.frames_b2hwc.equal(far.frames_b2hwc)
    (tmp_path / "list.txt").write_text(f"{s3_bucket}/raw/d0/v2.mp4 0.2 1.0\n")
    listed = build_shards(settings(tmp_path / "list.txt", tmp_path / "listed", storage_options=options))
    assert sum(listed.samples.values()) == 1, "one part of one video; its split follows from its name"
