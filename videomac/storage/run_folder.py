"""The run folder: what a run writes down as it goes (formats in docs/training.md), on a local path or an `s3://` URL.

Lines are appended one by one on a local path. An object store has no append: there, files are kept in memory and
written whole at intervals and at checkpoints, which is why the ledger comes in parts.
"""

from __future__ import annotations

import time
from pathlib import Path

from videomac.errors import MissingFileError
from videomac.records.base import Record
from videomac.storage.entries import Advice
from videomac.storage.local_files import LocalFiles
from videomac.storage.storage import Storage

RAY_DATA_STATS = "ray_data_stats.txt"
"""Ray Data's own summary of rank 0's execution, written at checkpoints."""
UPLOAD_EVERY_S = 30.0
"""Object stores: seconds between two uploads of metrics.jsonl."""
ADVICE = Advice(missing="correct run.storage")


class RunFolder:
    """`STORAGE/NAME`: whole files by name, each written completely or not at all.

    An object store takes its endpoint and credentials from the AWS_* environment, as Ray's own storage layer does.
    Every method raises StorageError if the folder cannot be read or written.
    """

    def __init__(self, storage: str, name: str) -> None:
        self.local = Path(storage).expanduser().absolute() / name if "://" not in storage else None
        self.url = str(self.local) if self.local else f"{storage.rstrip('/')}/{name}"
        self.storage = Storage(self.url, advice=ADVICE)

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, None if there is none."""
        return self.storage.read_if_there(name)

    def write(self, name: str, content: bytes) -> None:
        """Replace the file: readers see the old or the new one, never a part."""
        self.storage.write(name, content)

    def upload(self, name: str, local_path: str | Path) -> None:
        """Replace the file by a copy of a local one."""
        self.storage.upload(name, str(local_path))

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file. Only a folder with a `local` path can: an object store replaces whole objects."""
        files = LocalFiles(self.url)
        self.storage.persist(lambda: files.append(name, content), name)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is fine."""
        self.storage.remove(name)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder of the run, sorted; none if there is no such folder."""
        try:
            return [entry.name.removeprefix(f"{folder}/") for entry in self.storage.list(folder)]
        except MissingFileError:
            return []


class JsonLines:
    """One file of JSON objects, a line each; `silent` writes nothing, for the workers other than rank 0."""

    def __init__(self, folder: RunFolder, name: str, silent: bool = False) -> None:
        self._folder, self._name, self._silent = folder, name, silent
        self._appends = folder.local is not None
        self._uploaded, self._lines = time.monotonic(), b""
        if silent:
            return
        content = folder.read(name) or b""
        if not self._appends:
            self._lines = content
        elif content and not content.endswith(b"\n"):
            folder.append(name, b"\n")  # a killed writer left half a line: the next one must stand alone

    def write(self, line: Record) -> None:
        """Append one record."""
        if self._silent:
            return
        encoded = line.to_json() + b"\n"
        if self._appends:
            self._folder.append(self._name, encoded)
            return
        self._lines += encoded
        if time.monotonic() - self._uploaded > UPLOAD_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Object stores: upload what was written."""
        if not self._appends and self._lines:
            self._folder.write(self._name, self._lines)
            self._uploaded = time.monotonic()
