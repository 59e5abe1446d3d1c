"""Rows looked up in a copy of the index are those that the index itself gives, and cost no requests."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.data.material import index_row, pretrain_settings, write_index
from videomac.data import draws, index, index_copy
from videomac.data.index import Index
from videomac.data.manifest import read_manifest
from videomac.data.pairs import Slot, slots_of
from videomac.data.plan import Opening, OpenPlan, read_plan
from videomac.data.spans import micro_steps
from videomac.errors import DataError, StorageError
from videomac.records.shards import SAMPLE_COLUMNS, Sample
from videomac.storage.storage import Storage

GROUP = 40
SHARDS = {5: 48, 20: 12}
"""Clips of a shard, and shards: fewer than a row group, and half of one."""


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(index, "ROWS_PER_GROUP", GROUP)
    monkeypatch.setattr(index_copy, "ROWS_PER_GROUP", GROUP)


@pytest.fixture(scope="module", params=SHARDS)
def manifest(request, tmp_path_factory):
    """Clips of many lengths, some of them held out, and images among the videos."""
    rng, per_shard = np.random.default_rng(7), request.param
    shards = [
        [
            index_row(
                f"k{s:03d}-{i}", f"s{s:03d}.tar", duration=float(rng.uniform(0.3, 9)), offset=512 * i,
                size=100 + i, fps=float(rng.choice([24.0, 29.97])), sha256=rng.bytes(32).hex(),
                kind=str(rng.choice(["video", "frames"])), split="val" if rng.random() < 0.1 else "train",
            )
            for i in range(per_shard - s % 2)
        ]
        for s in range(SHARDS[per_shard])
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(index, "ROWS_PER_GROUP", GROUP)
        return write_index(tmp_path_factory.mktemp("shards"), shards)


def plan_of(manifest, cache, split="train", **data):
    values = {f"data.{name}": value for name, value in data.items()}
    settings = pretrain_settings(manifest, **{"data.index_cache": str(cache), "data.shuffle_window": 4}, **values)
    return read_plan(settings.data, 5, split)


def by_the_index(plan, folder):
    """All openings of the first two epochs, looked up in `index.parquet` shard by shard, as the order is defined."""
    data, storage = plan.data, Storage(folder)
    opened, found = Index(storage, read_manifest(storage)), []
    for epoch in range(2):
        shards = draws.generator(plan.seed, epoch, "", 0, "shards").permutation(len(plan.openings_per_shard))
        for number, first in enumerate(range(0, len(shards), data.shuffle_window)):
            clips = []
            for shard in shards[first : first + data.shuffle_window].tolist():
                rows = opened.shard_rows(shard, [*SAMPLE_COLUMNS, "split"]).to_pylist()
                clips += [Sample.from_row(row) for row in rows if row["split"] == plan.split]
            slots = slots_of(np.array([clip.duration_s for clip in clips]), data).tolist()
            per_open = data.pairs_per_open
            turns = [(c, turn) for c, count in enumerate(slots) for turn in range(count // per_open)]
            for place in draws.generator(plan.seed, epoch, "", number, "groups").permutation(len(turns)):
                clip, turn = turns[place]
                drawn = tuple(Slot(epoch, turn * per_open + i, slots[clip]) for i in range(per_open))
                found.append(Opening(per_open * len(found), clips[clip], drawn))
    return found


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("mapped", [True, False])
def test_every_world_gets_the_rows_that_the_index_gives(manifest, tmp_path, monkeypatch, split, mapped):
    plan = plan_of(manifest, tmp_path / "cache", split)
    expected = by_the_index(plan, manifest.rpartition("/")[0])
    stop = 2 * len(expected)
    if not mapped:
        monkeypatch.setattr(index_copy, "ROWS_PER_GROUP", 10**9)
    assert OpenPlan(plan).openings(0, stop) == expected
    for world in (8, 64):
        found = []
        for rank in {0, 1, world - 1}:
            rows = OpenPlan(plan)
            shares = {"batch_size": 4 * world, "micro_batch": 4, "pairs_per_open": 2, "rank": rank, "world": world}
            spans = micro_steps(0, stop, **shares)
            found += [opening for span in spans for opening in rows.openings(span.g, span.g + span.count)]
        assert found
        assert all(opening == expected[opening.g // 2] for opening in found)
    assert (tmp_path / "cache").exists() == mapped


def test_one_process_of_a_node_reads_the_index_once_and_the_others_ask_for_nothing(manifest, tmp_path):
    """A law for every world: what a row costs the storage does not depend on where the rows of a rank lie."""
    plan, folder = plan_of(manifest, tmp_path / "cache"), manifest.rpartition("/")[0]
    opened = [OpenPlan(plan) for _ in range(64)]
    assert all(not rows.storage.counts for rows in opened), "opening a plan asks for nothing"

    threads = [threading.Thread(target=rows.openings, args=(4 * i, 4 * i + 4)) for i, rows in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, rows in enumerate(opened):
        for g in range(4 * i, 2 * plan.rows_per_epoch, 4 * 64):
            rows.openings(g, g + 4)

    asked = [rows.storage.counts for rows in opened if rows.storage.counts]
    groups = pq.ParquetFile(f"{folder}/{index.NAME}").metadata.num_row_groups
    assert len(asked) == 1
    assert asked[0]["requests"] <= 2 + 2 * groups, "manifest, footer, and the wanted columns of each row group"
    files = sum(Storage(folder).entry(name).size for name in ("manifest.json", index.NAME))
    assert asked[0]["bytes"] <= files + (64 << 10), "Arrow reads the end of a file once more"


def test_what_a_process_holds_does_not_grow_with_the_rows_it_has_seen(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(index_copy, "GROUPS_KEPT", 3)
    rows = OpenPlan(plan_of(manifest, tmp_path / "cache"))
    for g in range(0, 3 * rows.plan.rows_per_epoch, 50):
        rows.openings(g, g + 4)
        assert len(rows._index._group._values) <= 3
        assert len(rows._window._values) <= 2
        assert len(rows._order._values) == 1


def test_a_damaged_index_is_one_clear_line_and_leaves_no_copy(manifest, tmp_path):
    plan, folder = plan_of(manifest, tmp_path / "cache"), manifest.rpartition("/")[0]
    path = f"{folder}/{index.NAME}"
    with open(path, "rb") as file:
        content = file.read()
    try:
        for damaged in (content[: len(content) // 2], content[:300] + b"\xff" * 200 + content[500:]):
            with open(path, "wb") as file:
                file.write(damaged)
            with pytest.raises(StorageError, match=r"^[^\n]*index\.parquet: [^\n]*verify-shards[^\n]*$"):
                OpenPlan(plan).openings(0, 4)
            assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [".lock"]
    finally:
        with open(path, "wb") as file:
            file.write(content)
    assert OpenPlan(plan).openings(0, 4)


def test_shards_that_were_built_again_meanwhile_are_refused(tmp_path):
    path = write_index(tmp_path, [[index_row("a", "a.tar")]])
    plan = plan_of(path, tmp_path / "cache")
    write_index(tmp_path, [[index_row("b", "a.tar")]])
    with pytest.raises(DataError, match=r"manifest\.json: the shards were built again.*; start it again"):
        OpenPlan(plan).openings(0, 4)


def test_a_copy_with_other_durations_is_refused(manifest, tmp_path, monkeypatch):
    plan = plan_of(manifest, tmp_path / "cache")
    rows = OpenPlan(plan)
    shard = rows._index.shard
    monkeypatch.setattr(rows._index, "shard", lambda number: shard(number)._replace(duration_c=1 + shard(number)[0]))
    with pytest.raises(DataError, match=r"index-1-\w+: \d+ openings in shard \d+, but \d+ when .*; remove it"):
        rows.openings(0, 4)
