"""The data set as an endless sequence of rows: row g is a pure function of (seed, g).

An epoch is a permutation of openings: `pairs_per_open` rows that are taken from one opened clip. Shards are permuted;
each run of `shuffle_window` shards is a shuffle window, whose openings are permuted among themselves. So reads stay
within a few shards at a time, and a process holds one integer per shard and the openings of a shuffle window or two,
whatever the size of the data set. What the index says is looked up in a copy (`index_copy.py`), so that a jump to any g
is cheap.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from videomac.config import Data
from videomac.data import draws
from videomac.data.index import Index
from videomac.data.index_copy import IndexCopy, IndexIdentity, open_copy
from videomac.data.manifest import open_storage, read_manifest
from videomac.data.pairs import Slot, slots_of
from videomac.data.recent import Recent
from videomac.errors import DataError
from videomac.records.shards import Sample
from videomac.storage.entries import Patience
from videomac.storage.storage import Storage

ORDER_COLUMNS = ["duration", "split"]
"""Columns of the index that the order of the rows depends on."""
WINDOWS_KEPT = 2
"""Shuffle windows in memory: the blocks of two actors may lie on both sides of a border."""


class Opening(NamedTuple):
    """Rows of the plan that are taken from one clip, opened once."""

    g: int
    """The first row; the others follow."""
    sample: Sample
    """The clip."""
    slots: tuple[Slot, ...]
    """One slot for each row."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The rows of one split of the shards in the order of one seed, as a value: one integer per shard."""

    data: Data
    seed: int
    split: str
    openings_per_shard: Int64[np.ndarray, " shards"]
    """Openings of clips per epoch in each shard."""
    digest: str
    """Digest of the manifest."""
    index: IndexIdentity
    """The index that they were counted in."""

    @property
    def openings_per_epoch(self) -> int:
        """Openings of every epoch: the number of slots does not change from one to the next."""
        return int(self.openings_per_shard.sum())

    @property
    def rows_per_epoch(self) -> int:
        """Rows of every epoch."""
        return self.openings_per_epoch * self.data.pairs_per_open


def read_plan(data: Data, seed: int, split: str = "train") -> Plan:
    """Read manifest and index of `data.manifest` and count the rows: the start-up check of the data path.

    Raises:
        StorageError: manifest, index or shards cannot be read; denied or missing ones are reported at once.
        DataError: the split has no sample.
    """
    return read_plans(data, seed, {split: ""})[0]


def read_plans(data: Data, seed: int, splits: Mapping[str, str]) -> list[Plan]:
    """Return the plans of several splits after one scan of the index; see `read_plan`.

    Args:
        data: where the index is, and how pairs are drawn.
        seed: of the run.
        splits: by name, each with what to do if it is empty.
    """
    storage, name = _storage_of(data)
    manifest = read_manifest(storage, name, first=True)
    index = Index(storage, manifest)
    if manifest.shards:
        storage.read(manifest.shards[0].name, 0, 1, first=True)
    identity = IndexIdentity(manifest.index.sha256, int(index.shard_starts[-1]))
    plans = []
    for (split, advice), slots in zip(splits.items(), _slots_per_shard(index, data, list(splits)), strict=True):
        if not slots.sum():
            counts = ", ".join(f"{name}: {count}" for name, count in manifest.samples.items()) or "none"
            found = f"{data.manifest}: no sample in split {split!r} (samples by split: {counts})"
            raise DataError(f"{found}: {advice}" if advice else found)
        plans.append(Plan(data, seed, split, slots // data.pairs_per_open, manifest.digest, identity))
    return plans


@dataclasses.dataclass(frozen=True)
class _Order:
    """The order of an epoch's shards, and the first opening of each of its shuffle windows."""

    shards: Int64[np.ndarray, " shards"]
    first_openings: Int64[np.ndarray, " windows"]


@dataclasses.dataclass(frozen=True)
class _ShuffleWindow:
    """The openings of one shuffle window in their order.

    Opening i is the `turn_o[i]`-th of clip c = `clip_o[i]`, which is row `row_c[c]` of shard `shard_c[c]` and has
    `slots_c[c]` slots.
    """

    slots_c: Int64[np.ndarray, " c"]
    shard_c: Int64[np.ndarray, " c"]
    row_c: Int64[np.ndarray, " c"]
    clip_o: Int64[np.ndarray, " o"]
    turn_o: Int64[np.ndarray, " o"]


class OpenPlan:
    """A plan's rows, with the shuffle windows of the last ones kept in memory for the next. The first one opens the
    index."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.storage, self._manifest_name = _storage_of(plan.data)
        self._openings_per_epoch = plan.openings_per_epoch
        self._order = Recent(1, self._draw_order)
        self._window = Recent(WINDOWS_KEPT, self._draw_window)

    @functools.cached_property
    def _index(self) -> IndexCopy:
        return open_copy(self.plan.data, self.storage, self._manifest_name, self.plan.index)

    def openings(self, start: int, stop: int) -> list[Opening]:
        """Return rows start <= g < stop, those taken from one opened clip together."""
        if start >= stop:
            return []
        per_open = self.plan.data.pairs_per_open
        found = [self._opening(number) for number in range(start // per_open, -(-stop // per_open))]
        if start % per_open or stop % per_open:
            found[0], found[-1] = _cut(found[0], start, stop), _cut(found[-1], start, stop)
        return found

    def _opening(self, number: int) -> Opening:
        """Return one opening; `number` counts through all epochs."""
        per_open = self.plan.data.pairs_per_open
        epoch, place = divmod(number, self._openings_per_epoch)
        first_openings = self._order(epoch).first_openings
        window_number = int(np.searchsorted(first_openings, place, side="right")) - 1
        window = self._window((epoch, window_number))
        inside = place - int(first_openings[window_number])
        clip, turn = int(window.clip_o[inside]), int(window.turn_o[inside])
        sample = self._index.sample(int(window.shard_c[clip]), int(window.row_c[clip]))
        count = int(window.slots_c[clip])
        slots = tuple(Slot(epoch, turn * per_open + i, count) for i in range(per_open))
        return Opening(number * per_open, sample, slots)

    def _draw_order(self, epoch: int) -> _Order:
        openings, width = self.plan.openings_per_shard, self.plan.data.shuffle_window
        shards = draws.generator(self.plan.seed, epoch, "", 0, "shards").permutation(len(openings))
        ends = np.cumsum(openings[shards])[width - 1 :: width]
        return _Order(shards, np.concatenate([[0], ends]))

    def _draw_window(self, key: tuple[int, int]) -> _ShuffleWindow:
        data, (epoch, window_number) = self.plan.data, key
        shards_s = self._order(epoch).shards[window_number * data.shuffle_window :][: data.shuffle_window]
        found = [self._index.shard(shard) for shard in shards_s.tolist()]
        counts_s = np.array([len(one.duration_c) for one in found])
        wanted = self._index.splits.index(self.plan.split)
        chosen_c = np.flatnonzero(np.concatenate([one.split_c for one in found]) == wanted)
        place_c = np.repeat(np.arange(len(found)), counts_s)[chosen_c]
        row_c = chosen_c - (np.cumsum(counts_s) - counts_s)[place_c]
        slots_c = slots_of(np.concatenate([one.duration_c for one in found])[chosen_c], data)
        openings_c = slots_c // data.pairs_per_open
        self._refuse_other_counts(shards_s, np.bincount(place_c, openings_c, len(found)))
        clip_o = np.repeat(np.arange(len(openings_c)), openings_c)
        turn_o = np.arange(len(clip_o)) - np.repeat(np.cumsum(openings_c) - openings_c, openings_c)
        shuffled = draws.generator(self.plan.seed, epoch, "", window_number, "groups").permutation(len(clip_o))
        return _ShuffleWindow(slots_c, shards_s[place_c], row_c, clip_o[shuffled], turn_o[shuffled])

    def _refuse_other_counts(self, shards_s: Int64[np.ndarray, " s"], openings_s: Float64[np.ndarray, " s"]) -> None:
        """Raise unless the looked-up durations are those that the plan was counted with."""
        expected_s = self.plan.openings_per_shard[shards_s]
        for shard, found, expected in zip(shards_s, openings_s, expected_s, strict=True):
            if found != expected:
                raise DataError(
                    f"{self._index.place}: {found:.0f} openings in shard {shard}, but {expected} when the command "
                    "started: the copy of the index is damaged; remove it and start again"
                )


def _cut(opening: Opening, start: int, stop: int) -> Opening:
    """Return the part of an opening that lies in rows start <= g < stop."""
    skipped = max(0, start - opening.g)
    return Opening(opening.g + skipped, opening.sample, opening.slots[skipped : stop - opening.g])


def _storage_of(data: Data) -> tuple[Storage, str]:
    patience = Patience(deadline_s=data.io_timeout_s, attempt_s=data.io_attempt_s)
    return open_storage(data.manifest, data.storage_options, patience)


def _slots_per_shard(index: Index, data: Data, splits: Sequence[str]) -> Int64[np.ndarray, "splits shards"]:
    """Return the rows per epoch of each shard; one row group is in memory at a time."""
    starts = index.shard_starts
    totals = np.zeros((len(splits), len(starts) - 1), np.int64)
    start = 0
    for table in index.scan(ORDER_COLUMNS):
        stop = start + len(table)
        first, last = np.searchsorted(starts, [start, stop])  # row groups hold whole shards
        slots_c = slots_of(table["duration"].to_numpy(), data)
        for split, totals_s in zip(splits, totals, strict=True):
            sums = np.concatenate([[0], np.cumsum(np.where(_in_split(table, split), slots_c, 0))])
            totals_s[first:last] = np.diff(sums[starts[first : last + 1] - start])
        start = stop
    return totals


def _in_split(table: pa.Table, split: str) -> Bool[np.ndarray, " rows"]:
    """Return which rows belong to a split."""
    column = table["split"].combine_chunks().dictionary_encode()
    names = column.dictionary.to_pylist()
    code = names.index(split) if split in names else -1
    return column.indices.to_numpy() == code
