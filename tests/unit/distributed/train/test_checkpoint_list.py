"""Half a list of checkpoints is never read."""

from __future__ import annotations

import pytest

from videomac.distributed.train import checkpoint_list as snapshot
from videomac.errors import CheckpointError
from videomac.storage.run_folder import RunFolder


def test_half_a_list_is_replaced_by_the_whole_one_before(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    assert snapshot.mend(folder) is None
    folder.write(snapshot.SNAPSHOT, b'{"checkpoints": [1]}')
    snapshot.keep(folder)
    folder.write(snapshot.SNAPSHOT, b'{"checkpoints": [1, 2')
    snapshot.keep(folder)

    assert "going on from the checkpoint before" in (snapshot.mend(folder) or "")

    assert folder.read(snapshot.SNAPSHOT) == b'{"checkpoints": [1]}'
    assert snapshot.mend(folder) is None


def test_half_a_first_list_is_an_error(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    folder.write(snapshot.SNAPSHOT, b"")

    with pytest.raises(CheckpointError, match="is damaged"):
        snapshot.mend(folder)
