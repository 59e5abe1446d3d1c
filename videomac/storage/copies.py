"""Whole files and folders by path or URL: read, replaced, copied to this machine and from it.

For callers that have a URL and no storage. An object store takes its endpoint and credentials from the AWS_*
environment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from videomac.errors import StorageError
from videomac.storage import entries
from videomac.storage.entries import NO_ADVICE, Advice, Patience, split_url
from videomac.storage.storage import Storage

STORES_KEPT = 16
"""Open object stores: each has connections of its own, and opening one costs a tenth of a second."""


def place_of(url: str, advice: Advice = NO_ADVICE) -> tuple[Storage, str]:
    """Return the storage of a path or URL and the file's name in it; storages of one bucket are shared."""
    protocol, mark, rest = url.removeprefix("file://").partition("://")
    if not mark:
        folder, name = split_url(protocol.rstrip("/"))
        return Storage(folder, advice=advice), name
    bucket, _, name = rest.partition("/")
    environment = tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_")))
    return _store(f"{protocol}://{bucket}", advice, entries.DEFAULT_PATIENCE, environment), name.rstrip("/")


@functools.lru_cache(maxsize=STORES_KEPT)
def _store(root: str, advice: Advice, patience: Patience, environment: tuple[tuple[str, str], ...]) -> Storage:
    del environment  # part of the key: a changed endpoint or credential opens another storage
    return Storage(root, patience=patience, advice=advice)


def read_file(url: str, advice: Advice = NO_ADVICE) -> bytes:
    """Return a file's content.

    Raises:
        StorageError: it cannot be read; MissingFileError if it does not exist.
    """
    storage, name = place_of(url, advice)
    return storage.read(name)


def read_if_there(url: str) -> bytes | None:
    """Return a file's content, None if it does not exist.

    Raises:
        StorageError: it cannot be read.
    """
    storage, name = place_of(url)
    return storage.read_if_there(name)


def write_file(url: str, content: bytes, advice: Advice = NO_ADVICE) -> None:
    """Replace a file, making folders as needed: readers see the old one or the new one.

    Raises:
        StorageError: it cannot be written.
    """
    storage, name = place_of(url, advice)
    storage.write(name, content)


def exists(url: str) -> bool:
    """Return whether there is a file (not a folder).

    Raises:
        StorageError: the place cannot be asked.
    """
    storage, name = place_of(url)
    return storage.exists(name)


def is_folder(url: str) -> bool:
    """Return whether there is a folder; in an object store, whether anything lies below the prefix.

    Raises:
        StorageError: the place cannot be asked.
    """
    storage, name = place_of(url)
    return storage.is_folder(name)


@contextlib.contextmanager
def local_copy(url: str, hashes: Mapping[str, str | None] | None = None, advice: Advice = NO_ADVICE) -> Iterator[Path]:
    """Hold a file or folder on this machine: itself where it is local, else a copy that is removed afterwards.

    Args:
        url: the file or folder.
        hashes: files of the folder that are wanted, with the SHA-256 of those whose hash is known; None: all.
        advice: what the caller adds to errors.

    Raises:
        StorageError: it does not exist, or cannot be copied.
    """
    storage, name = place_of(url, advice)
    local = storage.local_path(name)
    if local is not None:
        yield Path(local)
        return
    with tempfile.TemporaryDirectory(prefix="videomac-copy-") as temporary:
        copy = Path(temporary) / (name.rpartition("/")[2] or "copy")
        if hashes is not None or storage.is_folder(name):
            download_folder(storage, name, copy, hashes)
        else:
            storage.download(name, str(copy))
        yield copy


def download_folder(storage: Storage, folder: str, target: Path, hashes: Mapping[str, str | None] | None) -> None:
    """Copy the files of a folder (all, or those in `hashes`) below a local one."""
    above = f"{folder}/" if folder else ""
    wanted = hashes if hashes is not None else {e.name.removeprefix(above): None for e in storage.list(folder)}
    target.mkdir(parents=True, exist_ok=True)
    for name, sha256 in wanted.items():
        if ".." in name.split("/") or name.startswith("/"):
            raise StorageError(f"{storage.url(folder)}: {name!r} leaves the folder it would be copied to; rename it")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        storage.download(f"{above}{name}", str(target / name), sha256)


@contextlib.contextmanager
def uploaded(url: str, last: str = "") -> Iterator[Path]:
    """Hold an empty local folder to write into; its files reach `url` at the end of the block, none after an error.

    Args:
        url: the folder that receives the files; others in it stay.
        last: the file that marks the folder as complete: removed first and written last.

    Raises:
        StorageError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="videomac-upload-") as temporary:
        yield Path(temporary)
        upload_folder(temporary, url, last)


def upload_folder(local: str | Path, url: str, last: str = "") -> None:
    """Copy the files below a local folder into another one, each as a whole; see `uploaded`.

    Raises:
        StorageError: a file cannot be written.
    """
    storage, folder = place_of(url)
    above = f"{folder}/" if folder else ""
    names = [entry.name for entry in Storage(str(local)).list()]
    if last in names and len(names) > 1:
        storage.remove(f"{above}{last}")
    for name in sorted(names, key=lambda name: (name == last, name)):
        storage.upload(f"{above}{name}", str(Path(local) / name))
