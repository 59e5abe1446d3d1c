"""Files of this machine: replaced by renaming, read by position, never retried."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import filelock

from videomac.storage.checksums import sha256_of
from videomac.storage.entries import MISSING, PIECE_BYTES, UNREADABLE, Advice, ChangedError, Damaged, Entry

LOCK_TIMEOUT_S = 10.0
"""Longest wait for the lock of a conditional write, which is held for milliseconds."""
REASONS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((errno.ENOENT,), "does not exist; check the path"),
    ((errno.EACCES, errno.EPERM, errno.EROFS), "permission denied; choose a place that you may use"),
    ((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "a file stands where a folder is expected, or a folder where a file"),
    ((errno.ENOSPC, errno.EDQUOT), "the disk is full; free some space or choose another place"),
)


class LocalFiles:
    """Files below a local folder (`videomac.storage.files.Files`)."""

    remote = False
    faults: tuple[type[BaseException], ...] = (Damaged, OSError)

    def __init__(self, root: str) -> None:
        self._root = root

    def local_path(self, name: str) -> str | None:
        """Return the file's path."""
        return self._path(name)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`."""
        with open(self._path(name), "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, start) if length <= PIECE_BYTES else _pread_all(file, start, length)

    def read_whole(self, name: str) -> bytes:
        """Return the whole file."""
        with open(self._path(name), "rb") as file:
            return file.read()

    def entry(self, name: str) -> Entry:
        """Return size and modification time."""
        found = os.stat(self._path(name))
        if stat.S_ISDIR(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "a folder, not a file", self._path(name))
        return Entry(name, found.st_size, str(found.st_mtime_ns))

    def is_folder(self, name: str) -> bool:
        """Return whether there is such a folder."""
        return os.path.isdir(self._path(name))

    def list(self, folder: str) -> list[Entry]:
        """Return every file below a folder; a dangling link has the version `MISSING`."""
        base = self._path(folder)
        if not os.path.isdir(base):
            raise FileNotFoundError(errno.ENOENT, "no such folder", base)
        refused: list[str] = []
        files = [self._listed(path) for path in _walk(base, refused)]
        return files + [Entry(self._relative(path), 0, UNREADABLE) for path in refused]

    def write(self, name: str, content: bytes) -> None:
        """Replace a file by renaming; folders are made as needed."""
        _replace(self._path(name), lambda partial: _write(partial, content))

    def upload(self, name: str, local_path: str) -> None:
        """Replace a file by a copy of another one."""
        _replace(self._path(name), lambda partial: shutil.copyfile(local_path, partial))

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file; an object store has no such call."""
        path = self._path(name)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "ab") as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.remove(self._path(name))

    def version(self, name: str) -> str:
        """Return the SHA-256 of the content, so that a file that is written back has its old version."""
        return sha256_of(self.read_whole(name))

    def swap(self, name: str, content: bytes | None, version: str | None) -> str | None:
        """Compare and replace, as one step for all who use this call on the same file system."""
        path = self._path(name)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        lock = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.lock")
        with filelock.FileLock(lock, timeout=LOCK_TIMEOUT_S):
            if self._version_or_none(name) != version:
                raise ChangedError
            if content is not None:
                self.write(name, content)
                return sha256_of(content)
            if version is not None:
                self.remove(name)
            return None

    def check_copy(self, entry: Entry, path: str) -> None:
        """Do nothing: a disk reports its own faults."""

    def may_pass(self, error: BaseException) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: what fails on a disk fails again."""
        return False

    def explain(self, error: BaseException, advice: Advice) -> str:
        """Return what went wrong and what to do."""
        if isinstance(error, Damaged):
            return f"{error}; {advice.damaged or 'the file is damaged: restore it or write it again'}"
        number, text = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
        more = f", or {advice.missing}" if advice.missing and number == errno.ENOENT else ""
        known = next((reason for numbers, reason in REASONS if number in numbers), None)
        return (known or str(text or error).lower()) + more

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root or "/"

    def _version_or_none(self, name: str) -> str | None:
        try:
            return self.version(name)
        except FileNotFoundError:
            return None

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._root or "/").replace(os.sep, "/")

    def _listed(self, path: str) -> Entry:
        name = self._relative(path)
        try:
            found = os.stat(path)
        except OSError:  # a link to nowhere, or to itself
            return Entry(name, 0, MISSING)
        return Entry(name, found.st_size, str(found.st_mtime_ns))


def _pread_all(file: Any, start: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length and (piece := os.pread(file.fileno(), length - len(content), start + len(content))):
        content += piece
    return bytes(content)


def _walk(root: str, refused: list[str]) -> Iterator[str]:
    """Yield every file below a folder, also through links, but for links to a folder above; `refused` receives folders
    that cannot be read."""
    above: dict[str, frozenset[tuple[int, int]]] = {}
    for folder, below, files in os.walk(root, followlinks=True, onerror=lambda error: refused.append(error.filename)):
        about, outer = os.stat(folder), above.get(os.path.dirname(folder), frozenset())
        if (about.st_dev, about.st_ino) in outer:
            below.clear()
            continue
        above[folder] = outer | {(about.st_dev, about.st_ino)}
        for file in files:
            yield os.path.join(folder, file)


def _replace(path: str, fill: Callable[[str], object]) -> None:
    """Fill a hidden file beside `path`, then give it that name."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    # A name of its own for every writer, on whatever node of a shared file system.
    partial = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex}.partial")
    try:
        fill(partial)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
