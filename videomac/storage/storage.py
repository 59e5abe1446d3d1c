"""Every byte that the data path reads or writes: local folders, `s3://`, and what else fsspec opens.

One layer of retries, here: botocore's and s3fs's own are cut to one attempt, because layers multiply (5 x 5 requests
and 40 s for a store that is down). Nobody below notices a short or a wrong body, so callers hand in a check of what
they asked for; an answer that fails it is a fault like any other. One that outlasts its deadline is a `StorageError`.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import tenacity

from videomac.errors import StorageError
from videomac.storage.entries import Content

T = TypeVar("T")
Check = Callable[[bytes], None]

PIECE_BYTES = 8 << 20
"""Large files are fetched in pieces of this size: the number of requests is the cost, and memory stays bounded."""
SLOWEST_BYTES_PER_S = 1 << 20
"""A transfer slower than this (beyond `attempt_s`) is given up and tried again."""
DENIED_ATTEMPTS = 3
"""A 403 after start-up is a fault that may pass (credentials being renewed), but not for long."""


class Damaged(Exception):  # noqa: N818 - a finding about an answer
    """An answer that is not what was asked for: wrong length or wrong checksum."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long one request is tried again."""

    deadline_s: float = 60.0
    """From the first attempt to the last."""
    attempt_s: float = 5.0
    """Longest silence of the server within an attempt."""


DEFAULT_PATIENCE = Patience()
MISSING = "missing"
"""`Entry.version` of a name without a file."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file below a storage's root."""

    name: str
    size: int
    version: str
    """Changes when the file's content may have: modification time or ETag."""


class Storage:
    """Files below one root, by relative name. Safe to share between threads; pickles by its arguments.

    Raises (all methods): StorageError, with the path and what to do.
    """

    def __init__(
        self, root: str, options: Mapping[str, str] | None = None, patience: Patience = DEFAULT_PATIENCE
    ) -> None:
        self.root = root.rstrip("/")
        self.options = dict(options or {})
        self.patience = patience
        self.counts: collections.Counter[str] = collections.Counter()
        """requests, bytes, and retries by the name of the fault."""
        self._lock = threading.Lock()
        self.remote = "://" in self.root
        self._fs: Any = None
        self._faults: tuple[type[BaseException], ...] = (Damaged, OSError)
        if self.remote:
            from videomac.storage import object_files as s3  # here: its libraries take a second to import

            self._fs = s3.filesystem(self.root, self.options, patience.attempt_s)
            self._faults = (Damaged, *s3.FAULTS)

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.root, self.options, self.patience)

    def url(self, name: str) -> str:
        """Full path or URL of a file."""
        return f"{self.root}/{name}" if name else self.root

    def read(
        self, name: str, start: int = 0, size: int | None = None, check: Check | None = None, first: bool = False
    ) -> bytes:
        """`size` bytes from `start` (None: the whole file), of that length and approved by `check` (raises `Damaged`).

        `first` is for the first request of a run: a 403 then ends it at once.
        """

        def attempt() -> bytes:
            length = self.size(name) - start if size is None else size
            content = self._read_once(name, start, length)
            if len(content) != length:
                raise Damaged(f"{len(content)} bytes came for {length}")
            if check is not None:
                check(content)
            self._count(requests=1, bytes=length)
            return content

        return self.persist(attempt, name, first)

    def _read_once(self, name: str, start: int, length: int) -> bytes:
        if length == 0:
            return b""  # s3fs answers an empty range with the whole object
        if self._fs is not None:
            return self._fs.read_range(self.url(name), start, length, self._attempt_timeout_s(length))
        with open(self.url(name), "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, start) if length <= PIECE_BYTES else _pread_all(file, start, length)

    def size(self, name: str) -> int:
        """Bytes of a file, without retries of its own."""
        if self._fs is not None:
            return self._fs.entry(self.url(name), self.patience.attempt_s)[0]
        return os.stat(self.url(name)).st_size

    def entry(self, name: str) -> Entry:
        """Size and version of a file."""

        def attempt() -> Entry:
            if self._fs is not None:
                return Entry(name, *self._fs.entry(self.url(name), self.patience.attempt_s))
            stat = os.stat(self.url(name))
            return Entry(name, stat.st_size, str(stat.st_mtime_ns))

        return self.persist(attempt, name)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""

        def attempt() -> bool:
            try:
                self.size(name)
            except FileNotFoundError:
                return False
            return True

        return self.persist(attempt, name)

    def list(self) -> list[Entry]:
        """All files below the root, by name; hidden ones (a name that begins with a dot) left out."""

        def attempt() -> list[Entry]:
            if self._fs is not None:
                found = [Entry(*row) for row in self._fs.list(self.root, self.patience.deadline_s)]
            else:
                found = list(_walk(self.root))
            return sorted((e for e in found if not _hidden(e.name)), key=lambda e: e.name)

        return self.persist(attempt, "")

    def write(self, name: str, content: bytes) -> None:
        """Puts a file there at once: readers see the old one or the new one, never a half."""

        def attempt() -> None:
            if self._fs is not None:
                self._fs.write(self.url(name), content, self._attempt_timeout_s(len(content)))
            else:
                _replace(self.url(name), lambda partial: _write_file(partial, content))

        self.persist(attempt, name)

    def upload(self, name: str, local_path: str) -> None:
        """Moves a finished local file there, at once."""
        size = os.path.getsize(local_path)

        def attempt() -> None:
            if self._fs is not None:
                self._fs.upload(self.url(name), local_path, self._attempt_timeout_s(size))
            else:
                _replace(self.url(name), lambda partial: _copy_file(local_path, partial))

        self.persist(attempt, name)

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine."""

        def attempt() -> None:
            try:
                if self._fs is not None:
                    self._fs.remove(self.url(name), self.patience.attempt_s)
                else:
                    os.remove(self.url(name))
            except FileNotFoundError:
                return

        self.persist(attempt, name)

    def pieces(self, name: str, size: int | None = None) -> Iterator[bytes]:
        """A file's content from begin to end, a piece at a time."""
        total = self.entry(name).size if size is None else size
        for start in range(0, total, PIECE_BYTES):
            yield self.read(name, start, min(PIECE_BYTES, total - start))

    def sha256(self, name: str) -> str:
        """Hex SHA-256 of a file, read in pieces."""
        digest = hashlib.sha256()
        for piece in self.pieces(name):
            digest.update(piece)
        return digest.hexdigest()

    def persist(self, attempt: Callable[[], T], name: str, first: bool = False) -> T:
        """Calls `attempt` until it succeeds, fails for good, or the deadline passes: the one layer of retries."""
        begin, denied = time.monotonic(), 0

        def passing(error: BaseException) -> bool:
            nonlocal denied
            denied += isinstance(error, PermissionError)
            if not self.remote or (first and denied) or denied >= DENIED_ATTEMPTS:
                return False
            return isinstance(error, Damaged) or self._fs.may_pass(error)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(passing),
            stop=tenacity.stop_after_delay(self.patience.deadline_s),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            before_sleep=self._note_retry,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except self._faults as error:
            attempts = retrying.statistics.get("attempt_number", 1)
            spent = f" ({attempts} attempts in {time.monotonic() - begin:.1f} s)" if attempts > 1 else ""
            raise StorageError(f"{self.url(name)}: {self._explain(error)}{spent}") from error

    def _explain(self, error: BaseException) -> str:
        if isinstance(error, Damaged):
            return f"{error}; the content is not what the index says: run videomac verify-shards"
        if self.remote:
            return self._fs.explain(error)
        if isinstance(error, FileNotFoundError):
            return "does not exist; check the path, or make shards with videomac build-shards SOURCE OUT"
        return str(error.args[-1]).lower()

    def _note_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._count(retries=1, **{f"retries_{type(error).__name__}": 1})

    def _count(self, **increments: int) -> None:
        with self._lock:
            self.counts.update(increments)

    def _attempt_timeout_s(self, size: int) -> float:
        return self.patience.attempt_s + size / SLOWEST_BYTES_PER_S


def sha256_check(expected: str) -> Callable[[Content], None]:
    """A check for `Storage.read`: the content has this hex SHA-256."""

    def check(content: Content) -> None:
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise Damaged(f"sha256 is {found[:12]}..., expected {expected[:12]}...")

    return check


def split_url(url: str) -> tuple[str, str]:
    """Folder and file name of a path or URL."""
    folder, slash, name = url.rpartition("/")
    return (folder or "/" if slash else "."), name


def _pread_all(file: Any, start: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length and (piece := os.pread(file.fileno(), length - len(content), start + len(content))):
        content += piece
    return bytes(content)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _walk(root: str) -> Iterator[Entry]:
    if not os.path.isdir(root):
        raise FileNotFoundError(root)
    for folder, _, files in os.walk(root, followlinks=True):
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, root).replace(os.sep, "/")
            if os.path.exists(path):
                stat = os.stat(path)
                yield Entry(name, stat.st_size, str(stat.st_mtime_ns))
            else:
                yield Entry(name, 0, MISSING)  # a link to nowhere


def _replace(path: str, fill: Callable[[str], object]) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    partial = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.partial")
    try:
        fill(partial)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def _write_file(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _copy_file(source: str, path: str) -> None:
    shutil.copyfile(source, path)
