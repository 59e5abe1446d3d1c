"""Files of JSON lines that grow for as long as a run lasts, on a local path or in an object store.

A local file is appended to, a line at a time. An object store has no append, and putting a whole file again for each
addition costs more the longer a run lasts. So there the end of the file is kept in parts beside it,
`NAME.parts/OFFSET.jsonl`, each named by its place in the whole file in bytes: the last part is put again until it has
`PART_BYTES`, then the next one starts. When the file is closed, it is put whole and the parts are removed; a reader
ignores parts that the whole file already covers, so that a crash in between loses nothing and doubles nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from videomac.errors import MissingFileError, StorageError
from videomac.records.base import Record
from videomac.storage.run_folder import RunFolder
from videomac.storage.storage import Storage

UPLOAD_EVERY_S = 30.0
"""Object stores: seconds between two uploads of new lines."""
PART_BYTES = 64 * 1024
"""Object stores: the size at which a part is complete. An upload never sends much more than this."""
PARTS = ".parts/"


class JsonLines:
    """Appends records to one file of JSON lines. `silent` writes nothing, for the workers other than rank 0."""

    def __init__(self, folder: RunFolder, name: str, silent: bool = False) -> None:
        self._end: _End | None = None
        if not silent:
            self._end = _LocalEnd(folder, name) if folder.local is not None else _RemoteEnd(folder.storage, name)

    def write(self, line: Record) -> None:
        """Append one record. In an object store it is kept for the next upload, which nobody waits for."""
        if self._end is not None:
            self._end.append(line.to_json() + b"\n")

    def flush(self) -> None:
        """Upload whatever is still kept.

        Raises:
            StorageError: the store did not take it within its deadline.
        """
        if self._end is not None:
            self._end.flush()

    def close(self) -> None:
        """Flush, and make one file of all parts.

        Raises:
            StorageError: as `flush`.
        """
        if self._end is not None:
            self._end.close()


def read_appended(storage: Storage, name: str) -> bytes | None:
    """Return all lines of a file, also while they are being written; None if there is no such file."""
    if not storage.remote:
        return storage.read_if_there(name)
    while True:
        parts = _parts(storage, name)
        whole = storage.read_if_there(name)
        rest = [part for offset, part in sorted(parts.items()) if offset >= len(whole or b"")]
        try:
            content = b"".join([whole or b"", *map(storage.read, rest)])
        except MissingFileError:
            continue  # the writer has closed the file since the parts were listed
        return content if rest or whole is not None else None


def appended_files(names: list[str]) -> list[str]:
    """Return the files among `names`, sorted, where the parts of a file stand for it."""
    return sorted({name.partition(PARTS)[0] for name in names})


def _parts(storage: Storage, name: str) -> dict[int, str]:
    """Return the names of the parts by their offsets."""
    try:
        names = [entry.name for entry in storage.list(f"{name}{PARTS}".rstrip("/"))]
    except MissingFileError:
        return {}
    return {int(part.rpartition("/")[2].removesuffix(".jsonl")): part for part in names}


class _End(Protocol):
    """The end of a file, where lines are added."""

    def append(self, content: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _LocalEnd:
    """Appends to a local file at once."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self._folder, self._name = folder, name
        content = folder.read(name)
        if content and not content.endswith(b"\n"):
            self.append(b"\n")  # a killed writer left half a line: the next one must stand alone

    def append(self, content: bytes) -> None:
        self._folder.append(self._name, content)

    def flush(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


class _RemoteEnd:
    """Keeps lines in memory and uploads them in parts, in a thread of its own except where `flush` waits for it."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._offset = self._size_so_far()
        self._part, self._uploaded = bytearray(), 0
        """The part that is not complete yet, and how much of it the store has."""
        self._memory, self._network = threading.Lock(), threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"upload-{name}")
        self._pending: Future[None] | None = None
        self._last_s = time.monotonic()

    def _size_so_far(self) -> int:
        parts = _parts(self._storage, self._name)
        ends = [offset + self._storage.entry(part).size for offset, part in sorted(parts.items())[-1:]]
        with contextlib.suppress(MissingFileError):
            ends.append(self._storage.entry(self._name).size)
        return max(ends, default=0)

    def append(self, content: bytes) -> None:
        with self._memory:
            self._part += content
        idle = self._pending is None or self._pending.done()
        if idle and time.monotonic() - self._last_s > UPLOAD_EVERY_S:
            self._last_s = time.monotonic()
            self._pending = self._thread.submit(self._try_upload)

    def _try_upload(self) -> None:
        try:
            self.flush()
        except StorageError:
            return  # the lines are kept; the next checkpoint's flush waits for them and raises

    def flush(self) -> None:
        with self._network:
            with self._memory:
                offset, content = self._offset, bytes(self._part)
            if len(content) == self._uploaded:
                return
            self._storage.write(f"{self._name}{PARTS}{offset:015d}.jsonl", content)
            with self._memory:
                self._uploaded = len(content)
                if self._uploaded >= PART_BYTES:
                    del self._part[: self._uploaded]
                    self._offset, self._uploaded = offset + self._uploaded, 0

    def close(self) -> None:
        self._thread.shutdown()
        self.flush()
        parts = _parts(self._storage, self._name)
        if parts:
            self._storage.write(self._name, read_appended(self._storage, self._name) or b"")
        for part in parts.values():
            self._storage.remove(part)
