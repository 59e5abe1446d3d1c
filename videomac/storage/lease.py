"""One driver for one run: a lease in the run folder, on a local path or an object store.

No clocks are compared: a heartbeat is a counter, and a lease whose counter stood still for the expiry time, as watched
by the one who waits, belongs to a dead driver. Changes are compare-and-swap: under a file lock on a local path, by
conditional puts (`If-None-Match`, `If-Match`) on S3. A server that ignores conditions leaves a window of one request in
which two drivers that start at the same moment both get the lease.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import fsspec

from videomac.errors import ClusterError, StorageError

HEARTBEAT_S = 5.0
EXPIRY_S = 20.0
FILE = "lease.json"


class LeaseFile(Protocol):
    """Compare-and-swap of one small file; a version is opaque, None means that there is no file."""

    faults: tuple[type[BaseException], ...]
    """What a storage raises that may be better the next time."""

    def read(self) -> tuple[bytes, Any]:
        """Content and version."""
        ...

    def swap(self, content: bytes | None, version: Any) -> Any:
        """Writes (None: deletes) if the file still has `version`; the new version, or raises `Changed`."""
        ...


class ChangedError(Exception):
    """Another driver wrote the lease in between."""


class LocalLeaseFile:
    """A lease on a file system: `flock` on a file beside it makes read-compare-write one step."""

    faults: tuple[type[BaseException], ...] = (OSError,)

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._lock = folder / FILE, folder / f".{FILE}.lock"

    def read(self) -> tuple[bytes, bytes | None]:
        """The content is the version: it holds a counter."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return b"", None
        return content, content

    def swap(self, content: bytes | None, version: bytes | None) -> bytes | None:
        """Compares and replaces under the lock."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.read()[1] != version:
                raise ChangedError
            if content is None:
                self._path.unlink(missing_ok=True)
                return None
            partial = self._path.with_name(f".{FILE}.partial")
            partial.write_bytes(content)
            partial.replace(self._path)
        return content


class ObjectLeaseFile:
    """A lease on S3: the version is the object's ETag. A request that gets no answer ends within seconds."""

    def __init__(self, folder: str) -> None:
        from videomac.storage.object_files import FAULTS  # here: its libraries take a second to import

        self.faults: tuple[type[BaseException], ...] = (*FAULTS, StorageError)
        limits = {"connect_timeout": 3, "read_timeout": 3, "retries": {"total_max_attempts": 1, "mode": "standard"}}
        self._filesystem, root = fsspec.url_to_fs(folder, use_listings_cache=False, config_kwargs=limits)
        self._path = f"{root}/{FILE}"

    def read(self) -> tuple[bytes, str | None]:
        """Content and ETag."""
        try:
            version = self._etag()
            return self._filesystem.cat_file(self._path), version
        except FileNotFoundError:
            return b"", None

    def swap(self, content: bytes | None, version: str | None) -> str | None:
        """A conditional put; `ChangedError` if another driver's came first."""
        if content is None:
            if self.read()[1] == version:  # S3 has no conditional delete everywhere: our own lease, just heartbeaten
                self._filesystem.rm_file(self._path)
            return None
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            self._filesystem.pipe_file(self._path, content, **condition)
        except OSError as error:  # s3fs knows no better class for 409 and 412
            if self._etag_or_none() != version:
                raise ChangedError from error
            raise StorageError(f"{self._path}: the lease cannot be written ({error}); check run.storage") from error
        return self._etag()

    def _etag(self) -> str:
        return self._filesystem.info(self._path, refresh=True)["ETag"]

    def _etag_or_none(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return self._etag()
        return None


class Lease:
    """The right to drive a run, kept alive by a thread until released."""

    def __init__(self, file: LeaseFile, on_lost: Callable[[], None], heartbeat_s: float, expiry_s: float) -> None:
        self._file, self._on_lost = file, on_lost
        self._heartbeat_s, self._expiry_s = heartbeat_s, expiry_s
        self._owner = f"{platform.node()} pid {os.getpid()}"
        self._id, self._beats = uuid.uuid4().hex, 0
        self._version: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)
        self.lost = False

    def acquire(self, run: str, say: Callable[[str], None]) -> None:
        """Takes a free lease at once and a dead driver's after the expiry time, which it waits out, saying so.

        Raises:
            ClusterError: another driver of this run is alive.
        """
        while True:
            content, version = self._file.read()
            if version is not None:
                self._await_expiry(run, _read(content, "owner"), version, say)
            try:
                self._version = self._file.swap(self._content(), version)
            except ChangedError:
                continue  # another waiter was faster, or its owner has released it
            self._thread.start()
            return

    def release(self) -> None:
        """Ends the heartbeat and deletes the lease, unless another driver has it by now."""
        self._ended.set()
        self._thread.join(timeout=self._expiry_s)
        with contextlib.suppress(ChangedError, *self._file.faults):  # what stays expires
            if not self.lost:
                self._file.swap(None, self._version)

    def _await_expiry(self, run: str, owner: str, version: Any, say: Callable[[str], None]) -> None:
        say(f"{run}: held by {owner}; waiting {self._expiry_s:g} s to see whether it is alive")
        end = time.monotonic() + self._expiry_s
        while time.monotonic() < end:
            time.sleep(min(self._heartbeat_s / 5, 1.0))
            now = self._file.read()[1]
            if now is None:
                return
            if now != version:
                raise ClusterError(
                    f"{run}: another driver is running this run ({owner}); wait for its end, stop it, "
                    "or choose another run.name"
                )
        say(f"{run}: {owner} gave no sign of life for {self._expiry_s:g} s; taking over")

    def _keep_alive(self) -> None:
        """Beats until released; a lease that another driver took, or that could not be renewed in time, is lost.

        It is given up a heartbeat before others may take it.
        """
        renewed = time.monotonic()
        while not self._ended.wait(self._heartbeat_s):
            try:
                self._beat()
                renewed = time.monotonic()
            except ChangedError:
                self.lost = True
            except self._file.faults:  # try again until shortly before expiry
                self.lost = time.monotonic() - renewed > self._expiry_s - self._heartbeat_s
            if self.lost:
                self._on_lost()
                return

    def _beat(self) -> None:
        try:
            self._version = self._file.swap(self._content(), self._version)
        except ChangedError:
            content, version = self._file.read()
            if _read(content, "id") != self._id:
                raise
            self._version = version  # our own last beat: it was written, but its answer got lost

    def _content(self) -> bytes:
        self._beats += 1
        return json.dumps({"owner": self._owner, "id": self._id, "beats": self._beats}).encode()


@contextlib.contextmanager
def held(
    folder: str,
    on_lost: Callable[[], None],
    say: Callable[[str], None] = print,
    heartbeat_s: float = HEARTBEAT_S,
    expiry_s: float = EXPIRY_S,
) -> Iterator[Lease]:
    """Holds the lease of a run folder for the time of the block; `on_lost` is called from the heartbeat's thread.

    Raises:
        ClusterError: another driver of this run is alive.
    """
    file = ObjectLeaseFile(folder) if "://" in folder else LocalLeaseFile(Path(folder))
    lease = Lease(file, on_lost, heartbeat_s, expiry_s)
    lease.acquire(folder, say)
    try:
        yield lease
    finally:
        lease.release()


def _read(content: bytes, key: str) -> str:
    try:
        return str(json.loads(content)[key])
    except (ValueError, KeyError, TypeError):
        return "unknown"
