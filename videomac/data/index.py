"""`index.parquet`: one line per sample, read by row groups; a row group holds whole shards and many lines.

A reader holds the footer (tens of MB for thousands of row groups, half a GB for fifty thousand: hence the least length
of a group) and the row groups in use. Page checksums, and the footer's SHA-256 in the manifest, reveal damage.
"""

from __future__ import annotations

import collections
import concurrent.futures
import io
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from videomac.data.recent import Recent
from videomac.errors import DataError
from videomac.records.manifest import IndexFile, Manifest
from videomac.storage.checksums import check_sha256, sha256_of
from videomac.storage.copies import place_of
from videomac.storage.entries import Damaged
from videomac.storage.storage import Storage

NAME = "index.parquet"
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),  # video, or frames (images in one tar range)
        ("shard", pa.dictionary(pa.int32(), pa.string())),
        ("offset", pa.int64()),  # bytes from the start of the shard
        ("size", pa.int64()),  # video: of the member's data; frames: first frame's header to last frame's data
        ("sha256", pa.string()),  # of these bytes
        ("frames", pa.int32()),
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("duration", pa.float64()),  # seconds
        ("source", pa.string()),
        ("source_sha256", pa.string()),
        ("segment_start", pa.float64()),  # seconds in the source
        ("segment_end", pa.float64()),
        ("split", pa.dictionary(pa.int8(), pa.string())),  # train or val
    ]
)
"""Columns of `index.parquet`."""
ROWS_PER_GROUP = 20_000
"""Least lines of a row group, except the last."""
SCAN_THREADS = 16
"""Row groups read at a time over a network, where each takes a request or two of some 30 ms: thousands in seconds."""
GROUPS_KEPT = 2
"""Decoded row groups in memory: some 5 MB each."""

IndexValues = dict[str, str | int | float]
"""One line of the index by column: `records.shards.IndexRow.to_plain`."""


def write_index(path: str, shards: Iterable[Sequence[IndexValues]]) -> IndexFile:
    """Write the lines of each shard, in the manifest's order, to a local file."""
    pending: list[IndexValues] = []
    with index_writer(path) as writer:
        for rows in shards:
            pending += rows
            if len(pending) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(pending, SCHEMA), row_group_size=len(pending))
                pending = []
        if pending:
            writer.write_table(pa.Table.from_pylist(pending, SCHEMA), row_group_size=len(pending))
    return describe_index(path)


def index_writer(path: str) -> pq.ParquetWriter:
    """Return a writer whose pages carry checksums; each table written must be one row group of whole shards."""
    return pq.ParquetWriter(path, SCHEMA, compression="zstd", write_page_checksum=True)


def describe_index(path: str) -> IndexFile:
    """Return lengths and checksums of a finished index."""
    storage, name = place_of(path)
    total = storage.entry(name).size
    footer_bytes = struct.unpack("<I4s", storage.read(name, total - 8, 8))[0] + 8
    footer = storage.read(name, total - footer_bytes, footer_bytes)
    return IndexFile(
        bytes=total, sha256=storage.sha256(name), footer_bytes=footer_bytes, footer_sha256=sha256_of(footer)
    )


class Index:
    """Random access to the lines of an index by shard.

    Raises:
        StorageError: the index cannot be read, or is not the manifest's.
        DataError: index and manifest come from different builds.
    """

    def __init__(self, storage: Storage, manifest: Manifest) -> None:
        self._storage, self._info = storage, manifest.index
        footer_start = self._info.bytes - self._info.footer_bytes
        check = check_sha256(self._info.footer_sha256)
        footer = storage.read(NAME, footer_start, self._info.footer_bytes, check, first=True)
        self._footer = footer
        self._parquet = self._open()
        rows = [self._parquet.metadata.row_group(i).num_rows for i in range(self._parquet.metadata.num_row_groups)]
        self.url = storage.url(NAME)
        self.group_starts = _starts(rows)
        """First line of each row group, and the number of all lines."""
        self._read_group = Recent(GROUPS_KEPT, self._load)
        """The newest few are kept: shards of one window often share a row group, and a small index has only one."""
        self.shard_starts = _starts([shard.samples for shard in manifest.shards])
        """First line of each shard, and the number of all lines."""
        if self.group_starts[-1] != self.shard_starts[-1]:
            raise DataError(
                f"{storage.url(NAME)}: {self.group_starts[-1]} samples, but {self.shard_starts[-1]} in manifest.json; "
                "they come from different builds; rebuild the shards"
            )

    def scan(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of every row group in order; over a network some are read ahead, else one is in memory."""
        threads = SCAN_THREADS if self._storage.remote else 1
        own = threading.local()

        def load(group: int) -> pa.Table:
            if not hasattr(own, "file"):
                own.file = self._open(self._parquet.metadata)
            return self._load_group(own.file, group, columns)

        ahead: collections.deque[concurrent.futures.Future[pa.Table]] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="index") as pool:
            for group in range(len(self.group_starts) - 1):
                ahead.append(pool.submit(load, group))
                if len(ahead) >= threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def shard_rows(self, shard: int, columns: Sequence[str]) -> pa.Table:
        """Return some columns of one shard's samples."""
        start, stop = self.shard_starts[shard], self.shard_starts[shard + 1]
        group = int(np.searchsorted(self.group_starts, start, side="right")) - 1
        offset = int(start - self.group_starts[group])
        # A slice would keep the whole row group in memory; `take` copies the shard's lines.
        return self._read_group((group, tuple(columns))).take(np.arange(offset, offset + int(stop - start)))

    def _load(self, key: tuple[int, tuple[str, ...]]) -> pa.Table:
        return self._load_group(self._parquet, *key)

    def _open(self, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
        """Return the index as a file with a position of its own; `metadata` saves reading the footer again."""
        file = pa.PythonFile(_RangeFile(self._storage, self._info.bytes, self._footer), mode="r")
        return pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True, pre_buffer=True)

    def _load_group(self, parquet: pq.ParquetFile, group: int, columns: Sequence[str]) -> pa.Table:
        def attempt() -> pa.Table:
            try:
                return parquet.read_row_group(group, columns=list(columns), use_threads=False)
            except (pa.ArrowInvalid, OSError) as error:
                # Arrow wraps the store's own exception; a page whose checksum differs looks the same from here.
                raise Damaged(f"row group {group} of the index: {' '.join(str(error).split())}") from error

        return self._storage.persist(attempt, NAME)


def _starts(lengths: Sequence[int]) -> Int64[np.ndarray, " starts"]:
    """Return where each part starts when they lie one after another, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


class _RangeFile(io.RawIOBase):
    """The index as a seekable file: one attempt per read (the retry is around the row group), footer from memory."""

    def __init__(self, storage: Storage, length: int, footer: bytes) -> None:
        self._storage, self._length, self._footer = storage, length, footer
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        start = self._position
        stop = self._length if size < 0 else min(start + size, self._length)
        footer_start = self._length - len(self._footer)
        if start >= footer_start:
            content = self._footer[start - footer_start : stop - footer_start]
        else:
            content = self._storage.read_once(NAME, start, stop - start)
        self._position = start + len(content)
        return content
