"""The checkpoint that a path or URL means: one itself, the newest intact one of a run, or the one in its `best/`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from videomac.errors import CheckpointError, DamagedFileError, MissingFileError
from videomac.pretrain import checkpoint
from videomac.storage.copies import local_copy
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage


@contextlib.contextmanager
def local_checkpoint(path: str) -> Iterator[Path]:
    """Hold a checkpoint folder on this machine: `path` itself, the newest intact one of a run, or the one in `best/`.

    Raises:
        CheckpointError: there is no intact checkpoint.
        StorageError: the place cannot be read.
    """
    storage = Storage(path, advice=Advice(damaged="use the previous checkpoint"))
    complaints = []
    for name in _names(storage):
        with contextlib.ExitStack() as held:
            try:
                folder = held.enter_context(local_copy(storage.url(name), _hashes(storage, name)))
                checkpoint.verify(folder)
            except (CheckpointError, DamagedFileError, MissingFileError) as error:
                complaints.append(str(error))
                continue
            yield folder
            return
    reason = complaints[0] if complaints else "neither a checkpoint folder nor a run with checkpoints/"
    raise CheckpointError(f"{path}: no intact checkpoint: {reason}")


def _names(storage: Storage) -> list[str]:
    """Return the checkpoints of a folder, relative to it, in the order in which they are tried."""
    if storage.exists(checkpoint.LIST):
        return [""]
    best = storage.read_if_there("best.json")
    if best is not None:
        return [json.loads(best)["name"]]
    try:
        names = {entry.name.split("/")[1] for entry in storage.list("checkpoints") if entry.name.count("/") > 1}
    except MissingFileError:
        return []
    return [f"checkpoints/{name}" for name in sorted(names, reverse=True) if "step_" in name]


def _hashes(storage: Storage, name: str) -> dict[str, str | None]:
    """Return the files of a checkpoint with their SHA-256, so that a bad copy is noticed and made again."""
    content = storage.read(f"{name}/{checkpoint.LIST}" if name else checkpoint.LIST)
    return {checkpoint.LIST: None, **checkpoint.listed_hashes(content, storage.url(name))}
