"""Folders that the processes of a node share: made by the first that asks, checked, and dropped when room is needed.

Finished folders appear by renaming, so nobody sees half of one. A process that maps a file keeps it, even if the folder
is dropped meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from videomac.errors import StorageError, VideomacError
from videomac.records.cache import CachedFile, CachedFolder
from videomac.storage.checksums import sha256_of_file
from videomac.storage.entries import NO_ADVICE
from videomac.storage.local_files import LocalFiles

STAMP = "cached.json"
"""Lists the files of a finished folder; its time is that of the last check of their content."""
CHECK_AFTER_S = 24 * 3600.0
"""Lengths and times of the files are compared at every use, their content after this time."""


class NodeCache:
    """Folders by key below one root, together at most so large.

    Args:
        root: on this node; empty: a folder of this user's below the one for temporary files.
        most_bytes: bound on all folders.
        advice: what an error about place or space tells the user to do.
    """

    def __init__(self, root: str, most_bytes: int, advice: str) -> None:
        own = Path(tempfile.gettempdir()) / f"videomac-{os.getuid()}" / "cache"
        self._root = Path(root).expanduser() if root else own
        self._most_bytes, self._advice = most_bytes, advice

    def folder(self, key: str, make: Callable[[Path], None], expected_bytes: int) -> Path:
        """Return the finished folder of `key`; the first process that asks makes it, others wait for it.

        Args:
            key: names the content, for example by a checksum.
            make: fills an empty folder.
            expected_bytes: of the files that `make` writes; room is made for them.

        Raises:
            StorageError: the place cannot be written to, or has no room.
        """
        path = self._root / key
        with self._explained():
            if not (_is_whole(path) and _was_checked_lately(path)):
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._refuse_foreign()
                with filelock.FileLock(self._root / ".lock"):
                    if not (_is_whole(path) and (_was_checked_lately(path) or _passes_check(path))):
                        self._make(path, make, expected_bytes)
            os.utime(path)  # the folders used last are dropped last
        return path

    def _make(self, path: Path, make: Callable[[Path], None], expected_bytes: int) -> None:
        """Fill a hidden folder, then give it its name. The lock is held: other hidden ones were left by the dead."""
        for left in self._root.glob(".*.partial"):
            shutil.rmtree(left)
        shutil.rmtree(path, ignore_errors=True)
        self._make_room(expected_bytes)
        partial = self._root / f".{path.name}.partial"
        partial.mkdir()
        try:
            make(partial)
            _stamp(partial)
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _make_room(self, needed: int) -> None:
        """Drop the folders that were not used for longest until so many bytes are within the bound."""
        if needed > self._most_bytes:
            raise StorageError(f"{self._root}: {needed >> 20} MiB for one copy exceed the bound; {self._advice}")
        kept = sorted((f for f in self._root.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
        sizes = {folder: sum(file.stat().st_size for file in folder.iterdir()) for folder in kept}
        while kept and sum(map(sizes.__getitem__, kept)) + needed > self._most_bytes:
            shutil.rmtree(kept.pop(0))
        free = shutil.disk_usage(self._root).free
        if needed > free:
            raise StorageError(
                f"{self._root}: {needed >> 20} MiB for a copy, but {free >> 20} MiB are free; {self._advice}"
            )

    def _refuse_foreign(self) -> None:
        """Raise if another user owns the root: what is read from there is believed."""
        if self._root.stat().st_uid != os.getuid():
            raise StorageError(f"{self._root}: belongs to another user; {self._advice}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except VideomacError:
            raise
        except OSError as error:
            reason = LocalFiles("").explain(error, NO_ADVICE)
            raise StorageError(f"{error.filename or self._root}: {reason}; {self._advice}") from error


def _stamp(folder: Path) -> None:
    """Force the files to disk and write down what they are."""
    files = {}
    for file in sorted(folder.iterdir()):
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        about = file.stat()
        files[file.name] = CachedFile(bytes=about.st_size, mtime_ns=about.st_mtime_ns, sha256=sha256_of_file(file))
    (folder / STAMP).write_bytes(CachedFolder(files=files).to_json())


def _files(folder: Path) -> dict[str, CachedFile]:
    """Return what the stamp lists; nothing where there is no readable stamp."""
    try:
        return CachedFolder.from_json((folder / STAMP).read_bytes(), str(folder / STAMP)).files
    except (OSError, VideomacError):
        return {}


def _is_whole(folder: Path) -> bool:
    """Return whether the folder is finished, and its files have the lengths and times that they were left with."""
    files = _files(folder)
    with contextlib.suppress(OSError):
        found = {name: (folder / name).stat() for name in files}
        return bool(files) and all(
            (found[n].st_size, found[n].st_mtime_ns) == (f.bytes, f.mtime_ns) for n, f in files.items()
        )
    return False


def _was_checked_lately(folder: Path) -> bool:
    return time.time() - (folder / STAMP).stat().st_mtime < CHECK_AFTER_S


def _passes_check(folder: Path) -> bool:
    """Hash the files; if they are what they were, note that they have been checked now."""
    same = all(sha256_of_file(folder / name) == file.sha256 for name, file in _files(folder).items())
    if same:
        os.utime(folder / STAMP)
    return same
