"""The run folder: what a run writes down as it goes (formats in docs/training.md), on a local path or an `s3://` URL.

`lines.py` adds to the files that grow during a run.
"""

from __future__ import annotations

from pathlib import Path

from videomac.errors import MissingFileError
from videomac.storage.entries import Advice
from videomac.storage.local_files import LocalFiles
from videomac.storage.storage import Storage

RAY_DATA_STATS = "ray_data_stats.txt"
"""Ray Data's own summary of rank 0's execution, written at checkpoints."""
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
