"""The index as the plan looks rows up in it: columns in memory or mapped into it, so that a row costs microseconds.

`index.parquet` is made for scans: what is wanted of one shard costs a decoded row group. The rows of one of many ranks
lie far apart, and every block would decode dozens. So the columns of the plan are copied once to each node, as Arrow
that all its processes map (docs/design/scale.md). An index of one row group is small enough for each to keep its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int8

from videomac.config import Data
from videomac.data.index import ROWS_PER_GROUP, Index
from videomac.data.manifest import read_manifest
from videomac.data.recent import Recent
from videomac.errors import DataError
from videomac.records.manifest import Manifest
from videomac.records.shards import SAMPLE_COLUMNS, Sample
from videomac.storage.node_cache import NodeCache
from videomac.storage.storage import Storage

FORMAT = 1
"""Number of this layout, part of a copy's name."""
ROWS, SHARDS = "rows.arrow", "shards.arrow"
COLUMNS = tuple(name for name in SAMPLE_COLUMNS if name != "shard")
"""Columns of a sample that are copied; the name of its shard is kept once for all its samples."""
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("kind", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("fps", pa.float64()),
        ("duration", pa.float64()),
        ("split", pa.dictionary(pa.int8(), pa.string())),
    ]
)
"""Columns of a copy."""
BYTES_PER_ROW = 192
"""More than a row usually takes (some 140 bytes), to see in time whether there is room for the copy."""
GROUPS_KEPT = 64
"""Row groups whose columns are at hand: views of some kilobytes each, whatever the length of the group."""
ADVICE = "set data.index_cache to a folder of every node with room, or raise data.index_cache_mb"


class ShardColumns(NamedTuple):
    """What the order of the rows depends on, of the samples of one shard."""

    duration_c: Float64[np.ndarray, " c"]
    split_c: Int8[np.ndarray, " c"]
    """Places in `IndexCopy.splits`."""


class IndexIdentity(NamedTuple):
    """Says which index is meant, and how large it is."""

    sha256: str
    """Of `index.parquet`."""
    rows: int


class _Group(NamedTuple):
    """One row group, as views of its columns."""

    columns: list[pa.Array]
    """In the order of COLUMNS."""
    duration_c: Float64[np.ndarray, " c"]
    split_c: Int8[np.ndarray, " c"]


class IndexCopy:
    """Lookups by shard and row.

    Args:
        place: path or URL that errors name.
        group: returns a row group.
        shards: by the columns of `_shard_places`.
    """

    def __init__(self, place: str, group: Callable[[int], pa.RecordBatch], shards: pa.RecordBatch) -> None:
        self.place, self._load = place, group
        self._names = shards.column("name")
        self._groups, self._firsts, self._counts = (shards.column(i).to_numpy() for i in (1, 2, 3))
        self._group = Recent(GROUPS_KEPT, self._views)
        self.splits: list[str] = group(0).column("split").dictionary.to_pylist()
        """Names of the splits."""

    @classmethod
    def in_memory(cls, index: Index, manifest: Manifest) -> IndexCopy:
        """Copy an index into this process."""
        return cls(index.url, list(_groups(index, manifest)).__getitem__, _shard_places(index, manifest))

    @classmethod
    def mapped(cls, folder: Path) -> IndexCopy:
        """Map what `write_copy` has written."""
        rows, shards = (pa.ipc.open_file(pa.memory_map(str(folder / name))) for name in (ROWS, SHARDS))
        return cls(str(folder), rows.get_batch, shards.get_batch(0))

    def shard(self, number: int) -> ShardColumns:
        """Return what the order of the rows depends on, of one shard."""
        group, first = self._group(int(self._groups[number])), int(self._firsts[number])
        here = slice(first, first + int(self._counts[number]))
        return ShardColumns(group.duration_c[here], group.split_c[here])

    def sample(self, shard: int, row: int) -> Sample:
        """Return one sample of a shard."""
        line = int(self._firsts[shard]) + row
        key, kind, *rest = (column[line].as_py() for column in self._group(int(self._groups[shard])).columns)
        return Sample(key, kind, self._names[shard].as_py(), *rest)

    def _views(self, number: int) -> _Group:
        group = self._load(number)
        columns = [group.column(name) for name in COLUMNS]
        return _Group(columns, group.column("duration").to_numpy(), group.column("split").indices.to_numpy())


def write_copy(index: Index, manifest: Manifest, folder: Path) -> None:
    """Write an index into an empty folder, one row group in memory at a time, for `IndexCopy.mapped`.

    Raises:
        StorageError: the index cannot be read.
        OSError: the folder cannot be written to.
    """
    with pa.OSFile(str(folder / ROWS), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for group in _groups(index, manifest):
            writer.write_batch(group)
    shards = _shard_places(index, manifest)
    with pa.OSFile(str(folder / SHARDS), "wb") as file, pa.ipc.new_file(file, shards.schema) as writer:
        writer.write_batch(shards)


def open_copy(data: Data, storage: Storage, manifest_name: str, identity: IndexIdentity) -> IndexCopy:
    """Return the index in memory if it is small, else this node's copy, which is made if there is none.

    Raises:
        StorageError: manifest or index cannot be read, or the copy has no place.
        DataError: they are not those of `identity`.
    """

    def read() -> tuple[Index, Manifest]:
        manifest = read_manifest(storage, manifest_name)
        if manifest.index.sha256 != identity.sha256:
            raise DataError(
                f"{storage.url(manifest_name)}: the shards were built again since this command started; start it again"
            )
        return Index(storage, manifest), manifest

    if identity.rows <= ROWS_PER_GROUP:
        return IndexCopy.in_memory(*read())
    cache = NodeCache(data.index_cache, data.index_cache_mb << 20, ADVICE)
    key = f"index-{FORMAT}-{identity.sha256[:32]}"
    return IndexCopy.mapped(
        cache.folder(key, lambda folder: write_copy(*read(), folder), identity.rows * BYTES_PER_ROW)
    )


def _groups(index: Index, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    """Yield the copied columns of every row group; all have one dictionary of splits, as the file format wants."""
    splits = sorted(manifest.samples)
    for table in index.scan([*COLUMNS, "split"]):
        copied = [table[name].combine_chunks().cast(SCHEMA.field(name).type) for name in COLUMNS]
        found = table["split"].combine_chunks().dictionary_encode()
        places = np.array([splits.index(name) for name in found.dictionary.to_pylist()], np.int8)
        codes = pa.DictionaryArray.from_arrays(places[found.indices.to_numpy()], pa.array(splits, pa.string()))
        yield pa.record_batch([*copied, codes], schema=SCHEMA)


def _shard_places(index: Index, manifest: Manifest) -> pa.RecordBatch:
    """Return of each shard its name, its row group, its first row there, and the number of its rows."""
    starts = index.shard_starts
    groups = np.searchsorted(index.group_starts[:-1], starts[:-1], side="right") - 1
    columns = {
        "name": pa.array([shard.name for shard in manifest.shards], pa.string()),
        "group": groups,
        "first": starts[:-1] - index.group_starts[groups],
        "count": np.diff(starts),
    }
    return pa.record_batch(columns)
