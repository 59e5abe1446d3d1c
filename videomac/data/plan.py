"""The data set as an endless sequence of rows: row g is a pure function of (seed, g).

An epoch is a permutation of openings: `pairs_per_open` rows that are taken from one opened clip. Shards are permuted;
each run of `shuffle_window` shards is a shuffle window, whose openings are permuted among themselves. So reads stay
within a few shards at a time, and a process holds one integer per shard and the rows of a shuffle window or two,
whatever the size of the data set. A shuffle window's order needs the durations of its clips only; what else the index
says about a shard is read when a row of it is asked for, so that a jump to any g is cheap.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from videomac.config import Data
from videomac.data import draws
from videomac.data.index import Index
from videomac.data.manifest import open_storage, read_manifest
from videomac.data.pairs import Slot, slots_of
from videomac.data.recent import Recent
from videomac.errors import DataError
from videomac.records.manifest import Manifest
from videomac.records.shards import SAMPLE_COLUMNS, Sample
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
    storage, manifest, index = _open(data)
    if manifest.shards:
        storage.read(manifest.shards[0].name, 0, 1, first=True)
    openings = _slots_per_shard(index, data, split) // data.pairs_per_open
    if not openings.sum():
        counts = ", ".join(f"{name}: {count}" for name, count in manifest.samples.items())
        raise DataError(f"{data.manifest}: no sample in split {split!r} (samples by split: {counts or 'none'})")
    return Plan(data, seed, split, openings, manifest.digest)


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
    """A plan's rows, with what was last read of the index kept in memory for the next ones."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.storage, _, self._index = _open(plan.data)
        self._openings_per_epoch = plan.openings_per_epoch
        self._order = Recent(1, self._draw_order)
        self._window = Recent(WINDOWS_KEPT, self._read_window)
        self._samples = Recent(WINDOWS_KEPT * plan.data.shuffle_window, self._read_samples)

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
        samples = self._samples(int(window.shard_c[clip]))
        sample = Sample(*(column[int(window.row_c[clip])].as_py() for column in samples.columns))
        count = int(window.slots_c[clip])
        slots = tuple(Slot(epoch, turn * per_open + i, count) for i in range(per_open))
        return Opening(number * per_open, sample, slots)

    def _draw_order(self, epoch: int) -> _Order:
        openings, width = self.plan.openings_per_shard, self.plan.data.shuffle_window
        shards = draws.generator(self.plan.seed, epoch, "", 0, "shards").permutation(len(openings))
        ends = np.cumsum(openings[shards])[width - 1 :: width]
        return _Order(shards, np.concatenate([[0], ends]))

    def _read_window(self, key: tuple[int, int]) -> _ShuffleWindow:
        data, (epoch, window_number) = self.plan.data, key
        shards = self._order(epoch).shards[window_number * data.shuffle_window :][: data.shuffle_window]
        slots, rows = [], []
        for shard in shards.tolist():
            table = self._index.shard_rows(shard, ORDER_COLUMNS)
            rows.append(np.flatnonzero(_in_split(table, self.plan.split)))
            slots.append(slots_of(table["duration"].to_numpy()[rows[-1]], data))
        openings_c = np.concatenate(slots) // data.pairs_per_open
        clip_o = np.repeat(np.arange(len(openings_c)), openings_c)
        turn_o = np.arange(len(clip_o)) - np.repeat(np.cumsum(openings_c) - openings_c, openings_c)
        shuffled = draws.generator(self.plan.seed, epoch, "", window_number, "groups").permutation(len(clip_o))
        shard_c = np.repeat(shards, [len(of_shard) for of_shard in rows])
        return _ShuffleWindow(np.concatenate(slots), shard_c, np.concatenate(rows), clip_o[shuffled], turn_o[shuffled])

    def _read_samples(self, shard: int) -> pa.Table:
        return self._index.shard_rows(shard, SAMPLE_COLUMNS)


def _cut(opening: Opening, start: int, stop: int) -> Opening:
    """Return the part of an opening that lies in rows start <= g < stop."""
    skipped = max(0, start - opening.g)
    return Opening(opening.g + skipped, opening.sample, opening.slots[skipped : stop - opening.g])


def _open(data: Data) -> tuple[Storage, Manifest, Index]:
    patience = Patience(deadline_s=data.io_timeout_s, attempt_s=data.io_attempt_s)
    storage, name = open_storage(data.manifest, data.storage_options, patience)
    manifest = read_manifest(storage, name, first=True)
    return storage, manifest, Index(storage, manifest)


def _slots_per_shard(index: Index, data: Data, split: str) -> Int64[np.ndarray, " shards"]:
    """Return the rows per epoch of each shard; one row group is in memory at a time."""
    starts = index.shard_starts
    totals = np.zeros(len(starts) - 1, np.int64)
    start = 0
    for table in index.scan(ORDER_COLUMNS):
        slots = np.where(_in_split(table, split), slots_of(table["duration"].to_numpy(), data), 0)
        sums = np.concatenate([[0], np.cumsum(slots)])
        first, last = np.searchsorted(starts, [start, start + len(slots)])  # row groups hold whole shards
        totals[first:last] = np.diff(sums[starts[first : last + 1] - start])
        start += len(slots)
    return totals


def _in_split(table: pa.Table, split: str) -> Bool[np.ndarray, " rows"]:
    """Return which rows belong to a split."""
    column = table["split"].combine_chunks().dictionary_encode()
    names = column.dictionary.to_pylist()
    code = names.index(split) if split in names else -1
    return column.indices.to_numpy() == code
