"""Half a list of checkpoints is never read."""

from __future__ import annotations

import pytest

from videomac.distributed.train import checkpoint_list
from videomac.errors import CheckpointError
from videomac.storage.run_folder import RunFolder


def test_half_a_list_is_replaced_by_the_whole_one_before(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    assert checkpoint_list.repair(folder) is None
    folder.write(checkpoint_list.SNAPSHOT, b'{"checkpoints": [1]}')
    checkpoint_list.back_up(folder)
    folder.write(checkpoint_list.SNAPSHOT, b'{"checkpoints": [1, 2')
    checkpoint_list.back_up(folder)

    assert "resuming from the previous checkpoint" in (checkpoint_list.repair(folder) or "")

    assert folder.read(checkpoint_list.SNAPSHOT) == b'{"checkpoints": [1]}'
    assert checkpoint_list.repair(folder) is None


def test_half_a_first_list_is_an_error(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    folder.write(checkpoint_list.SNAPSHOT, b"")

    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint_list.repair(folder)
