import hashlib
import pickle
from typing import NamedTuple

import pytest

from tests.unit.data.material import index_row, pretrain_settings, write_index
from videomac.data.pairs import Slot
from videomac.data.plan import OpenPlan, read_plan, read_plans
from videomac.errors import DataError, StorageError
from videomac.records.shards import Sample


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    shards = [
        [
            index_row(f"k{s}-{i}", f"s{s:02d}.tar", duration=0.4 + 0.7 * ((s * 7 + i) % 5), offset=i)
            for i in range(3 + s % 4)
        ]
        for s in range(12)
    ]
    shards[5] = [{**row, "split": "val"} for row in shards[5]]
    shards[6][0]["split"] = "val"
    return write_index(folder, shards)


def open_plan(manifest, seed=0, split="train", **data):
    values = {f"data.{name}": value for name, value in {"shuffle_window": 3, **data}.items()}
    return OpenPlan(read_plan(pretrain_settings(manifest, **values).data, seed, split))


class Row(NamedTuple):
    g: int
    sample: Sample
    slot: Slot


def rows_of(opened, start, stop):
    """Rows start <= g < stop one by one."""
    openings = opened.openings(start, stop)
    return [Row(o.g + i, o.sample, slot) for o in openings for i, slot in enumerate(o.slots)]


def identity(row):
    return row.sample.key, row.slot.index


@pytest.mark.parametrize("per_open", [1, 2, 4])
def test_every_epoch_holds_every_slot_of_every_clip_once(manifest, per_open):
    plan = open_plan(manifest, pairs_per_open=per_open)
    n = plan.plan.rows_per_epoch
    for epoch in range(3):
        rows = rows_of(plan, epoch * n, (epoch + 1) * n)
        assert {row.slot.epoch for row in rows} == {epoch}
        assert len({identity(row) for row in rows}) == n
        counts = {row.sample.key: row.slot.count for row in rows}
        assert sum(counts.values()) == n
        assert all(count % per_open == 0 for count in counts.values())


def test_rows_of_one_opening_stand_together(manifest):
    rows = rows_of(open_plan(manifest, pairs_per_open=4), 0, 200)
    for first in range(0, 200, 4):
        group = rows[first : first + 4]
        assert len({row.sample.key for row in group}) == 1
        assert [row.slot.index - group[0].slot.index for row in group] == [0, 1, 2, 3]


def test_a_row_depends_on_seed_and_g_alone(manifest):
    plan = open_plan(manifest)
    n = plan.plan.rows_per_epoch
    straight = rows_of(plan, 0, 3 * n)
    jumped = OpenPlan(pickle.loads(pickle.dumps(open_plan(manifest).plan)))
    for g in (2 * n + 1, 7, n - 1, n, 2 * n - 1, 0):
        assert rows_of(jumped, g, g + 1) == [straight[g]]
    assert rows_of(jumped, n - 5, n + 5) == straight[n - 5 : n + 5]
    assert [row.g for row in straight] == list(range(3 * n))
    assert [identity(row) for row in rows_of(open_plan(manifest, seed=1), 0, n)] != [identity(r) for r in straight[:n]]


def test_known_rows_stay(manifest):
    """A resumed run must take the rows that it would have taken: this order is part of the format."""
    plan = open_plan(manifest)
    assert plan.plan.rows_per_epoch == 352
    found = [
        (g, sample.key, sample.offset, slot.epoch, slot.index, slot.count)
        for g, sample, slot in rows_of(plan, 0, 3 * 352)
    ]
    digest = hashlib.sha256(repr(found).encode()).hexdigest()
    assert digest == "68b0cf871f0b7ef71176c78b96c14810644b95a9057c4241187ae189e1c4c494"


def test_epochs_differ_and_windows_mix_a_few_shards_only(manifest):
    plan = open_plan(manifest)
    n = plan.plan.rows_per_epoch
    first, second = rows_of(plan, 0, n), rows_of(plan, n, 2 * n)
    assert [identity(row) for row in first] != [identity(row) for row in second]
    sequence = [row.sample.shard for row in first]
    span = {shard: (sequence.index(shard), n - 1 - sequence[::-1].index(shard)) for shard in set(sequence)}
    in_use = [sum(begin <= place <= end for begin, end in span.values()) for place in range(n)]
    assert 1 < max(in_use) <= 3, "shards of one window at a time"
    order = list(dict.fromkeys(sequence))
    assert order != sorted(order)


def test_splits_do_not_mix(manifest):
    train, val = open_plan(manifest), open_plan(manifest, split="val")
    train_keys = {row.sample.key for row in rows_of(train, 0, train.plan.rows_per_epoch)}
    val_keys = {row.sample.key for row in rows_of(val, 0, val.plan.rows_per_epoch)}
    assert not train_keys & val_keys
    assert val_keys == {*(f"k5-{i}" for i in range(4)), "k6-0"}


def test_papers_pairs_are_all_neighbours_at_6_fps(tmp_path):
    path = write_index(tmp_path, [[index_row("k", "s.tar", duration=2.0), index_row("m", "s.tar", duration=0.1)]])
    plan = open_plan(path, pair_sampling="neighbours_6fps", pairs_per_open=1)
    counts = {row.sample.key: row.slot.count for row in rows_of(plan, 0, plan.plan.rows_per_epoch)}
    assert counts == {"k": 11, "m": 1}


def test_one_scan_counts_the_rows_of_several_splits(manifest):
    data = pretrain_settings(manifest).data
    for split, plan in zip(("train", "val"), read_plans(data, 3, {"train": "", "val": ""}), strict=True):
        alone = read_plan(data, 3, split)
        assert (plan.split, plan.openings_per_epoch) == (split, alone.openings_per_epoch)
        assert (plan.openings_per_shard == alone.openings_per_shard).all()


def test_start_up_says_what_is_missing(tmp_path, manifest):
    with pytest.raises(StorageError, match="does not exist"):
        open_plan(str(tmp_path / "manifest.json"))
    only_train = write_index(tmp_path, [[index_row("k", "s.tar")]])
    with pytest.raises(DataError, match=r"no sample in split 'val' \(samples by split: train: 1\)"):
        open_plan(only_train, split="val")
    (tmp_path / "s.tar").unlink()
    with pytest.raises(StorageError, match=r"s\.tar: does not exist"):
        open_plan(only_train)
