"""Every byte that a command reads or writes: local folders, `s3://`, and what else fsspec opens.

Requests are repeated by one layer (`retries.py`). Nobody below notices a short or a wrong range, so callers hand in a
check of what they asked for; an answer that fails it is a fault like any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from videomac.config import Access, clear_options
from videomac.errors import DamagedFileError, MissingFileError, StorageError
from videomac.storage import entries
from videomac.storage.checksums import refuse_other_sha256, sha256_of_file, sha256_of_pieces
from videomac.storage.entries import NO_ADVICE, PIECE_BYTES, UNREADABLE, Advice, Check, Damaged, Entry, Patience
from videomac.storage.files import Files, open_files
from videomac.storage.local_files import LocalFiles
from videomac.storage.retries import Retries

T = TypeVar("T")

DOWNLOADS = 3
"""Copies of a whole file that are made until one has the right checksum."""


class Storage:
    """Files below one root, by relative name. Safe to share between threads; pickles by its arguments.

    Raises (all methods): StorageError, with the path and what to do; MissingFileError where there is no such file, and
    DamagedFileError where its content stays wrong.
    """

    def __init__(
        self, root: str, options: Access = None, patience: Patience | None = None, advice: Advice = NO_ADVICE
    ) -> None:
        self.root = root.rstrip("/")
        self._options = clear_options(options)
        self.patience = patience or entries.DEFAULT_PATIENCE
        self._advice = advice
        self._files: Files = open_files(self.root, self._options, self.patience)
        self._retries = Retries(self._files, self.patience, advice)
        self.counts = self._retries.counts
        """requests, bytes read, and retries in all and by the name of the fault."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.root, self._options, self.patience, self._advice)

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"  # the options may hold secrets

    def with_patience(self, patience: Patience) -> Storage:
        """Return the same files with other limits."""
        return Storage(self.root, self._options, patience, self._advice)

    @property
    def remote(self) -> bool:
        """Whether reading costs a request over a network."""
        return self._files.remote

    def url(self, name: str) -> str:
        """Return the full path or URL of a file."""
        return f"{self.root}/{name}" if name else self.root

    def local_path(self, name: str) -> str | None:
        """Return the file's path if it lies on this machine, else None."""
        return self._files.local_path(name)

    def read(
        self, name: str, start: int = 0, size: int | None = None, check: Check | None = None, first: bool = False
    ) -> bytes:
        """Return `size` bytes from `start` (None: all), of that length and approved by `check` (raises `Damaged`).

        `first` is for the first request of a run: a 403 then ends it at once.
        """

        def attempt() -> bytes:
            content = self.read_once(name, start, size) if size is not None else self._read_whole(name)[start:]
            if size is not None and len(content) != size:
                raise Damaged(f"{len(content)} bytes came for {size}")
            if check is not None:
                check(content)
            return content

        return self.persist(attempt, name, first)

    def read_once(self, name: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes by one request, for callers that retry something larger by `persist`.

        Raises:
            OSError: or another of the place's faults.
        """
        self._retries.count(requests=1)
        content = self._files.read(name, start, length)
        self._retries.count(bytes=len(content))
        return content

    def read_if_there(self, name: str) -> bytes | None:
        """Return the whole file, None if there is none."""
        try:
            return self.read(name)
        except MissingFileError:
            return None

    def entry(self, name: str) -> Entry:
        """Return size and version of a file."""
        return self._request(lambda files: files.entry(name), name)

    def exists(self, name: str) -> bool:
        """Return whether the file is there."""
        try:
            self.entry(name)
        except MissingFileError:
            return False
        return True

    def is_folder(self, name: str = "") -> bool:
        """Return whether there is such a folder (in an object store: anything below it)."""
        return self._request(lambda files: files.is_folder(name), name)

    def list(self, folder: str = "") -> list[Entry]:
        """Return all files below a folder, sorted by name; hidden ones (a part that starts with a dot) are left out."""
        return [entry for entry in self.everything(folder) if entry.version != UNREADABLE and not is_hidden(entry.name)]

    def everything(self, folder: str = "") -> list[Entry]:
        """Return what `list` returns, hidden files, and folders that cannot be read, of the version `UNREADABLE`."""
        found = self._request(lambda files: files.list(folder), folder)
        return sorted(found, key=lambda entry: entry.name)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file: readers see the old one or the new one, never a part."""
        self._request(lambda files: files.write(name, content), name)

    def upload(self, name: str, local_path: str) -> None:
        """Replace a file by a copy of a finished local one.

        Raises:
            OSError: the local file is not there: a mistake of the caller, not of the storage.
        """
        os.stat(local_path)
        self._request(lambda files: files.upload(name, local_path), name)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is fine."""
        with contextlib.suppress(MissingFileError):
            self._request(lambda files: files.remove(name), name)

    def read_version(self, name: str) -> tuple[bytes, str | None]:
        """Return a file's content and what `swap` compares, (b"", None) if there is none.

        Of a file that changes in between the version is the older one: a swap then fails, as it should.
        """
        try:
            version = self._request(lambda files: files.version(name), name)
            return self.read(name), version
        except MissingFileError:
            return b"", None

    def swap(self, name: str, content: bytes | None, version: str | None) -> str | None:
        """Write `content` (None: remove the file) if it still has `version` (None: does not exist).

        A retry after a lost answer finds the caller's own content: compare it before you believe a `ChangedError`.

        Returns:
            The new version, None after removing.

        Raises:
            ChangedError: the file has another version.
        """
        return self._request(lambda files: files.swap(name, content, version), name)

    def pieces(self, name: str, size: int | None = None) -> Iterator[bytes]:
        """Yield a file's content in order, a piece at a time."""
        total = self.entry(name).size if size is None else size
        for start in range(0, total, PIECE_BYTES):
            yield self.read(name, start, min(PIECE_BYTES, total - start))

    def sha256(self, name: str) -> str:
        """Return the hex SHA-256 of a file, read in pieces."""
        return sha256_of_pieces(self.pieces(name))

    def download(self, name: str, local_path: str, sha256: str | None = None) -> None:
        """Copy a file to this machine, a piece at a time; a copy without the right checksum is made again.

        Args:
            name: the file.
            local_path: where the copy goes; its folder exists.
            sha256: of the file, where the caller knows it; else the store's own checksum has to do.
        """
        for number in range(1, DOWNLOADS + 1):
            try:
                self._download_once(name, local_path, sha256)
            except Damaged as damage:
                if number < DOWNLOADS:
                    self._retries.note(damage)
                    continue
                raise DamagedFileError(f"{self.url(name)}: {self._files.explain(damage, self._advice)}") from damage
            except OSError as error:
                raise StorageError(f"{local_path}: {LocalFiles('').explain(error, NO_ADVICE)}") from error
            return

    def _download_once(self, name: str, local_path: str, sha256: str | None) -> None:
        entry = self.entry(name)
        with open(local_path, "wb") as file:
            file.writelines(self.pieces(name, entry.size))
        self._files.check_copy(entry, local_path)
        if sha256 is not None:
            refuse_other_sha256(sha256_of_file(local_path), sha256)

    def persist(self, attempt: Callable[[], T], name: str, first: bool = False) -> T:
        """Call `attempt` until it succeeds, fails for good, or the deadline passes; see `Retries.persist`."""
        return self._retries.persist(attempt, self.url(name), first)

    def _request(self, ask: Callable[[Files], T], name: str) -> T:
        def attempt() -> T:
            self._retries.count(requests=1)
            return ask(self._files)

        return self.persist(attempt, name)

    def _read_whole(self, name: str) -> bytes:
        self._retries.count(requests=1)
        content = self._files.read_whole(name)
        self._retries.count(bytes=len(content))
        return content


def is_hidden(name: str) -> bool:
    """Return whether a part of a path starts with a dot."""
    return any(part.startswith(".") for part in name.split("/"))
