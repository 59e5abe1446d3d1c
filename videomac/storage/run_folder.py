"""The run folder: what a run writes down as it goes (formats in docs/training.md), on a local path or an `s3://` URL.

Lines are appended and flushed one by one on a local path. An object store has no append: there, files are kept in
memory and written whole at intervals and at checkpoints, which is why the ledger comes in parts.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from videomac.storage.storage import Storage

RAY_DATA_STATS = "ray_data_stats.txt"
"""Ray Data's own summary of rank 0's execution, written at checkpoints."""
UPLOAD_EVERY_S = 30.0
"""Object stores: seconds between two uploads of metrics.jsonl."""


class RunFolder:
    """`STORAGE/NAME`: whole files by name, each written all or not at all; faults of a store are tried again.

    An object store takes its endpoint and credentials from the AWS_* environment, as Ray's own storage layer does.
    """

    def __init__(self, storage: str, name: str) -> None:
        self.local = Path(storage).expanduser().absolute() / name if "://" not in storage else None
        self.url = str(self.local) if self.local else f"{storage.rstrip('/')}/{name}"
        self._storage = Storage(self.url)

    def read(self, name: str) -> bytes | None:
        """The file's bytes, None if there is none."""
        return self._storage.read(name) if self._storage.exists(name) else None

    def write(self, name: str, content: bytes) -> None:
        """Replaces the file: readers see the old or the new one, never a part.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._storage.write(name, content)

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine."""
        self._storage.remove(name)

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder of the run, sorted; none if there is no such folder."""
        begun = self.local.is_dir() if self.local else self._storage.exists("config.yaml")
        if not begun:
            return []
        prefix = f"{folder}/"  # of all names: a store knows no empty folder, and that of a run is never empty
        return [entry.name.removeprefix(prefix) for entry in self._storage.list() if entry.name.startswith(prefix)]


class JsonLines:
    """One file of JSON objects, a line each; `silent` writes nothing, for the workers that aren't rank 0."""

    def __init__(self, folder: RunFolder, name: str, silent: bool = False) -> None:
        self._folder, self._name, self._silent = folder, name, silent
        self._uploaded, self._lines = time.monotonic(), b""
        if silent:
            return
        self._lines = b"" if folder.local else folder.read(name) or b""
        if folder.local:
            folder.local.mkdir(parents=True, exist_ok=True)
            _end_last_line(folder.local / name)

    def write(self, line: dict[str, Any]) -> None:
        """Appends one object; NaN and infinity become null, as JSON has neither."""
        if self._silent:
            return
        encoded = json.dumps(_finite(line), ensure_ascii=False).encode() + b"\n"
        if self._folder.local:
            with (self._folder.local / self._name).open("ab") as file:
                file.write(encoded)
            return
        self._lines += encoded
        if time.monotonic() - self._uploaded > UPLOAD_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Object stores: uploads what was written."""
        if not self._folder.local and self._lines:
            self._folder.write(self._name, self._lines)
            self._uploaded = time.monotonic()


def _end_last_line(path: Path) -> None:
    """A killed writer may have left half a line: it gets its end, so that the next line stands alone."""
    if path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return {k: _finite(v) for k, v in value.items()} if isinstance(value, dict) else value
