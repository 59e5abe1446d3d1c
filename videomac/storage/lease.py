"""One driver for one run: a lease in the run folder, on a local path or an object store.

No clocks are compared: a heartbeat is a counter, and a lease whose counter stands still for the expiry time, as watched
by the one who waits, belongs to a dead driver. Changes are compare-and-swap (`Storage.swap`): under a file lock on a
local path, by conditional puts (`If-None-Match`, `If-Match`) on S3. A server that ignores conditions leaves a window of
one request in which two drivers that start at the same moment both get the lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from videomac.errors import ClusterError, StorageError
from videomac.storage.entries import Advice, ChangedError, Patience
from videomac.storage.storage import Storage

HEARTBEAT_S = 5.0
EXPIRY_S = 20.0
FILE = "lease.json"
ADVICE = Advice(missing="correct run.storage")


class Lease:
    """The right to drive a run, kept alive by a thread until it is released."""

    def __init__(
        self,
        storage: Storage,
        on_lost: Callable[[], None],
        heartbeat_s: float = HEARTBEAT_S,
        expiry_s: float = EXPIRY_S,
    ) -> None:
        self._storage, self._on_lost = storage, on_lost
        self._heartbeat_s, self._expiry_s = heartbeat_s, expiry_s
        # A beat is one attempt that ends early enough: the next beat is the retry, until the lease is given up.
        self._beating = storage.with_patience(Patience(deadline_s=0.0, attempt_s=0.6 * heartbeat_s))
        # A lease that is not deleted keeps the next driver waiting for the expiry time, so a retry may take as long.
        self._releasing = storage.with_patience(Patience(deadline_s=expiry_s, attempt_s=heartbeat_s))
        self._owner = f"{platform.node()} pid {os.getpid()}"
        self._id, self._beats = uuid.uuid4().hex, 0
        self._version: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)
        self.lost = False

    def acquire(self, run: str, say: Callable[[str], None]) -> None:
        """Take a free lease at once; take a dead driver's after waiting for the expiry time, and say so.

        Raises:
            ClusterError: another driver of this run is alive.
            StorageError: the lease cannot be read or written.
        """
        while True:
            content, self._version = self._storage.read_version(FILE)
            if self._version is not None:
                self._await_expiry(run, _field(content, "owner"), self._version, say)
            try:
                self._renew(self._storage)
            except ChangedError:
                continue  # another waiter was faster, or its owner has released it
            self._thread.start()
            return

    def release(self) -> None:
        """End the heartbeat and delete the lease, unless another driver has it by now."""
        self._ended.set()
        self._thread.join(timeout=self._expiry_s)
        with contextlib.suppress(ChangedError, StorageError):  # what stays expires
            if not self.lost:
                self._releasing.swap(FILE, None, self._version)

    def _await_expiry(self, run: str, owner: str, version: str, say: Callable[[str], None]) -> None:
        say(f"{run}: held by {owner}; waiting {self._expiry_s:g} s to see whether it is alive")
        end = time.monotonic() + self._expiry_s
        while time.monotonic() < end:
            time.sleep(min(self._heartbeat_s / 5, 1.0))
            now = self._storage.read_version(FILE)[1]
            if now is None:
                return
            if now != version:
                raise ClusterError(
                    f"{run}: another driver is running this run ({owner}); wait until it ends, stop it, "
                    "or choose another run.name"
                )
        say(f"{run}: {owner} gave no sign of life for {self._expiry_s:g} s; taking over")

    def _keep_alive(self) -> None:
        """Renew until released; a lease that another driver took, or that could not be renewed in time, is lost.

        It is given up a heartbeat before others may take it.
        """
        renewed = time.monotonic()
        while not self._ended.wait(self._until_next_beat_s(renewed)):
            started = time.monotonic()
            try:
                self._renew(self._beating)
                renewed = started
            except ChangedError:
                self.lost = True
            except StorageError:
                self.lost = time.monotonic() >= self._give_up_at(renewed)
            if self.lost:
                self._on_lost()
                return

    def _give_up_at(self, renewed: float) -> float:
        return renewed + self._expiry_s - self._heartbeat_s

    def _until_next_beat_s(self, renewed: float) -> float:
        return max(0.0, min(self._heartbeat_s, self._give_up_at(renewed) - time.monotonic()))

    def _renew(self, storage: Storage) -> None:
        """Write the next beat, and accept one of ours that was written although its answer got lost."""
        self._beats += 1
        beat = {"owner": self._owner, "id": self._id, "beats": self._beats}
        try:
            self._version = storage.swap(FILE, json.dumps(beat).encode(), self._version)
        except ChangedError:
            content, version = storage.read_version(FILE)
            if _field(content, "id") != self._id:
                raise
            self._version = version


@contextlib.contextmanager
def held(
    folder: str,
    on_lost: Callable[[], None],
    say: Callable[[str], None] = print,
    heartbeat_s: float = HEARTBEAT_S,
    expiry_s: float = EXPIRY_S,
) -> Iterator[Lease]:
    """Hold the lease of a run folder for the time of the block; `on_lost` is called from the heartbeat's thread.

    Raises:
        ClusterError: another driver of this run is alive.
        StorageError: the lease cannot be read or written.
    """
    lease = Lease(Storage(folder, advice=ADVICE), on_lost, heartbeat_s, expiry_s)
    lease.acquire(folder, say)
    try:
        yield lease
    finally:
        lease.release()


def _field(content: bytes, key: str) -> str:
    try:
        return str(json.loads(content)[key])
    except (ValueError, KeyError, TypeError):
        return "unknown"
