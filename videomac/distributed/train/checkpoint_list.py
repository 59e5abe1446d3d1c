"""Ray Train's list of the checkpoints that count, kept twice: Ray writes over it, and a kill may leave half of it."""

from __future__ import annotations

import json

from videomac.distributed.ray_internals import SNAPSHOT_FILE
from videomac.errors import CheckpointError
from videomac.storage.run_folder import RunFolder

CHECKPOINTS = "checkpoints"
"""Ray Train's own folder inside the run folder: a folder for each checkpoint, and the snapshot that commits them."""
SNAPSHOT = f"{CHECKPOINTS}/{SNAPSHOT_FILE}"
COPY = "snapshot.json"


def keep(folder: RunFolder) -> None:
    """Copies the list as it is now, if it is whole; called before each further checkpoint."""
    content = folder.read(SNAPSHOT)
    if content is not None and _is_whole(content):
        folder.write(COPY, content)


def mend(folder: RunFolder) -> str | None:
    """Puts the copy in the place of a damaged list; what to tell the user, None if nothing was wrong.

    Ray deletes a checkpoint only after a list without it is written: all that the copy names are still there.

    Raises:
        CheckpointError: the list is damaged and there is no copy.
    """
    content = folder.read(SNAPSHOT)
    if content is None or _is_whole(content):
        return None
    kept = folder.read(COPY)
    if kept is None:
        raise CheckpointError(
            f"{folder.url}/{SNAPSHOT} is damaged, and no checkpoint came before; choose another run.name"
        )
    folder.write(SNAPSHOT, kept)
    return f"{folder.url}/{SNAPSHOT} was damaged; going on from the checkpoint before"


def _is_whole(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
