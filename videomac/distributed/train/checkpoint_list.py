"""Backs up Ray Train's list of checkpoints: Ray rewrites it in place, so a crash can truncate it."""

from __future__ import annotations

import json

from videomac.distributed.ray_internals import SNAPSHOT_FILE
from videomac.errors import CheckpointError
from videomac.storage.run_folder import RunFolder

CHECKPOINTS = "checkpoints"
"""Ray Train's own folder inside the run folder: a folder for each checkpoint, and the snapshot that commits them."""
SNAPSHOT = f"{CHECKPOINTS}/{SNAPSHOT_FILE}"
COPY = "snapshot.json"


def back_up(folder: RunFolder) -> None:
    """Copy the list as it is now, if it is intact; called before each further checkpoint."""
    content = folder.read(SNAPSHOT)
    if content is not None and _is_intact(content):
        folder.write(COPY, content)


def repair(folder: RunFolder) -> str | None:
    """Replace a damaged list by its copy; returns what to tell the user, None if nothing was wrong.

    Ray deletes a checkpoint only after it has written a list without it, so all that the copy names still exist.

    Raises:
        CheckpointError: the list is damaged and there is no copy.
    """
    content = folder.read(SNAPSHOT)
    if content is None or _is_intact(content):
        return None
    kept = folder.read(COPY)
    if kept is None:
        raise CheckpointError(
            f"{folder.url}/{SNAPSHOT} is damaged, and there is no earlier copy of it; choose another run.name"
        )
    folder.write(SNAPSHOT, kept)
    return f"{folder.url}/{SNAPSHOT} was damaged; resuming from the previous checkpoint"


def _is_intact(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
