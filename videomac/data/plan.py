"""The data set as an endless sequence of rows: row g is a pure function of (seed, g).

An epoch is a permutation of groups of `pairs_per_open` rows that share an opened clip. Shards are permuted; each run
of `shuffle_window` shards is a window, whose groups are permuted among themselves. So reads stay within a few shards
at a time, and a process holds one number per shard and the rows of a window or two, whatever the size of the data set.
A window's order needs the durations of its clips only; what else the index says of a shard is read when a row of it is
asked for, so that a jump to any g is cheap.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from videomac.config import Data
from videomac.data import draws
from videomac.data.index import Index
from videomac.data.manifest import Manifest, open_storage, read_manifest
from videomac.data.pairs import Slot, slots_of
from videomac.data.sample import SAMPLE_COLUMNS, Sample
from videomac.errors import DataError
from videomac.storage.entries import Patience
from videomac.storage.storage import Storage

ORDER_COLUMNS = ["duration", "split"]
WINDOWS_KEPT = 2
"""Blocks of two actors may lie on both sides of a border."""


class PlanRow(NamedTuple):
    """One pair to be made."""

    g: int
    sample: Sample
    slot: Slot


@dataclasses.dataclass(frozen=True)
class _Window:
    """The groups of one shuffle window in their order: group i is opening `opening[i]` of sample `sample[i]`, which is
    row `row[sample]` of shard `shard[sample]` and has `slots[sample]` slots."""

    slots: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    sample: np.ndarray
    opening: np.ndarray


@dataclasses.dataclass(frozen=True)
class Plan:
    """Rows of one split of the shards, in the order of one seed. Small to pickle: a number per shard."""

    data: Data
    seed: int
    split: str
    groups_per_shard: np.ndarray
    """int64: openings of clips per epoch in each shard."""
    digest: str
    """The manifest's."""

    @classmethod
    def open(cls, data: Data, seed: int, split: str = "train") -> Plan:
        """Reads manifest and index of `data.manifest` and counts the rows: the start-up check of the data path.

        Raises:
            StorageError: manifest, index or shards cannot be read; denied or missing ones at once.
            DataError: no sample of that split.
        """
        storage, manifest, index = _opened(data)
        if manifest.shards:
            storage.read(manifest.shards[0].name, 0, 1, first=True)
        groups = _slots_per_shard(index, data, split) // data.pairs_per_open
        if not groups.sum():
            kinds = ", ".join(f"{name}: {count}" for name, count in manifest.samples.items())
            raise DataError(f"{data.manifest}: no sample of split {split!r} (samples by split: {kinds or 'none'})")
        return cls(data, seed, split, groups, manifest.digest)

    @property
    def rows_per_epoch(self) -> int:
        """Rows of every epoch: slots do not change from one to the next."""
        return int(self.groups_per_shard.sum()) * self.data.pairs_per_open

    @functools.cached_property
    def storage(self) -> Storage:
        """The shards' folder."""
        return self._source[0]

    @functools.cached_property
    def _source(self) -> tuple[Storage, Manifest, Index]:
        return _opened(self.data)

    @functools.cached_property
    def _windows(self) -> dict[tuple[int, int], _Window]:
        return {}

    @functools.cached_property
    def _shards(self) -> dict[int, pa.Table]:
        return {}

    @functools.cached_property
    def _orders(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def rows(self, start: int, stop: int) -> list[PlanRow]:
        """Rows start <= g < stop."""
        per_open = self.data.pairs_per_open
        found: list[PlanRow] = []
        for group in range(start // per_open, -(-stop // per_open)):
            found += self._group(group)
        return found[start % per_open : start % per_open + stop - start]

    def _group(self, group: int) -> list[PlanRow]:
        """The rows of one opening of a clip; `group` counts through all epochs."""
        per_open = self.data.pairs_per_open
        epoch, inside = divmod(group, self.rows_per_epoch // per_open)
        order, starts = self._order(epoch)
        number = int(np.searchsorted(starts, inside, side="right")) - 1
        window = self._window(epoch, number, order)
        place = inside - int(starts[number])
        number = int(window.sample[place])
        sample = self._sample(int(window.shard[number]), int(window.row[number]))
        count, first = int(window.slots[number]), int(window.opening[place]) * per_open
        return [PlanRow(group * per_open + i, sample, Slot(epoch, first + i, count)) for i in range(per_open)]

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Shards in this epoch's order, and the first group of each window."""
        if epoch not in self._orders:
            self._orders.clear()
            order = draws.generator(self.seed, epoch, "", 0, "shards").permutation(len(self.groups_per_shard))
            ends = np.cumsum(self.groups_per_shard[order])[self.data.shuffle_window - 1 :: self.data.shuffle_window]
            self._orders[epoch] = order, np.concatenate([[0], ends])
        return self._orders[epoch]

    def _window(self, epoch: int, number: int, order: np.ndarray) -> _Window:
        if (epoch, number) not in self._windows:
            _drop_oldest(self._windows, WINDOWS_KEPT)
            shards = order[number * self.data.shuffle_window :][: self.data.shuffle_window]
            self._windows[epoch, number] = self._read_window(epoch, number, shards)
        return self._windows[epoch, number]

    def _read_window(self, epoch: int, number: int, shards: np.ndarray) -> _Window:
        index = self._source[2]
        slots, rows = [], []
        for shard in shards.tolist():
            table = index.shard_rows(shard, ORDER_COLUMNS)
            rows.append(np.flatnonzero(_is_of(table, self.split)))
            slots.append(slots_of(table["duration"].to_numpy()[rows[-1]], self.data))
        openings = np.concatenate(slots) // self.data.pairs_per_open
        sample = np.repeat(np.arange(len(openings)), openings)
        opening = np.arange(len(sample)) - np.repeat(np.cumsum(openings) - openings, openings)
        shuffled = draws.generator(self.seed, epoch, "", number, "groups").permutation(len(sample))
        shard_of = np.repeat(shards, [len(one) for one in rows])
        return _Window(np.concatenate(slots), shard_of, np.concatenate(rows), sample[shuffled], opening[shuffled])

    def _sample(self, shard: int, row: int) -> Sample:
        if shard not in self._shards:
            _drop_oldest(self._shards, WINDOWS_KEPT * self.data.shuffle_window)
            self._shards[shard] = self._source[2].shard_rows(shard, list(SAMPLE_COLUMNS))
        return Sample(*(column[row].as_py() for column in self._shards[shard].columns))


def _drop_oldest(cache: dict[Any, Any], most: int) -> None:
    """Makes room for one more."""
    while len(cache) >= most:
        cache.pop(next(iter(cache)))


def _opened(data: Data) -> tuple[Storage, Manifest, Index]:
    patience = Patience(deadline_s=data.io_timeout_s, attempt_s=data.io_attempt_s)
    storage, name = open_storage(data.manifest, data.storage_options, patience)
    manifest = read_manifest(storage, name, first=True)
    return storage, manifest, Index(storage, manifest)


def _slots_per_shard(index: Index, data: Data, split: str) -> np.ndarray:
    """Rows per epoch in each shard; one row group is in memory at a time."""
    starts = index.shard_starts
    totals = np.zeros(len(starts) - 1, np.int64)
    begin = 0
    for table in index.scan(["duration", "split"]):
        slots = np.where(_is_of(table, split), slots_of(table["duration"].to_numpy(), data), 0)
        sums = np.concatenate([[0], np.cumsum(slots)])
        first, last = np.searchsorted(starts, [begin, begin + len(slots)])  # row groups hold whole shards
        totals[first:last] = np.diff(sums[starts[first : last + 1] - begin])
        begin += len(slots)
    return totals


def _is_of(table: pa.Table, split: str) -> np.ndarray:
    """Which rows belong to a split."""
    column = table["split"].combine_chunks().dictionary_encode()
    number = column.dictionary.to_pylist().index(split) if split in column.dictionary.to_pylist() else -1
    return column.indices.to_numpy() == number
