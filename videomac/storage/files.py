"""What a place for files can do: the one protocol of local folders and object stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from videomac.storage.entries import Advice, Entry, Patience
from videomac.storage.local_files import LocalFiles


class Files(Protocol):
    """Files below one root, by relative name. Every call is one attempt that ends within its time limit.

    A call fails with one of `faults`; `FileNotFoundError` means that there is no such file. Nobody retries here.
    """

    @property
    def faults(self) -> tuple[type[BaseException], ...]:
        """Everything that an attempt may raise."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading costs a request over a network."""
        ...

    def local_path(self, name: str) -> str | None:
        """Return the file's path if it lies on this machine."""
        ...

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`; the caller checks how many came."""
        ...

    def read_whole(self, name: str) -> bytes:
        """Return the whole file."""
        ...

    def entry(self, name: str) -> Entry:
        """Return size and version of a file; a folder is not one."""
        ...

    def is_folder(self, name: str) -> bool:
        """Return whether there is a folder of this name."""
        ...

    def list(self, folder: str) -> list[Entry]:
        """Return every file below a folder, hidden ones included, with names relative to the root."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Replace a file: readers see the old one or the new one."""
        ...

    def upload(self, name: str, local_path: str) -> None:
        """Replace a file by a copy of a local one: readers see the old one or the new one."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...

    def version(self, name: str) -> str:
        """Return what `swap` compares."""
        ...

    def swap(self, name: str, content: bytes | None, version: str | None) -> str | None:
        """Write `content` (None: remove the file) if the file still has `version` (None: does not exist).

        Returns:
            The new version, None after removing.

        Raises:
            ChangedError: the file has another version.
        """
        ...

    def check_copy(self, entry: Entry, path: str) -> None:
        """Raise `Damaged` if the local copy at `path` is known not to be the file of `entry`."""
        ...

    def may_pass(self, error: BaseException) -> bool:
        """Return whether another attempt may succeed."""
        ...

    def explain(self, error: BaseException, advice: Advice) -> str:
        """Return in one line what went wrong and what to do."""
        ...


def open_files(root: str, options: Mapping[str, str], patience: Patience) -> Files:
    """Return the files below a local path or URL.

    Raises:
        ConfigError: a URL of an unknown kind, or an unknown storage option.
    """
    if "://" not in root or root.startswith("file://"):
        return LocalFiles(os.path.expanduser(root.removeprefix("file://")))
    from videomac.storage.object_files import ObjectFiles  # here: its libraries take a second to import

    return ObjectFiles(root, options, patience)
