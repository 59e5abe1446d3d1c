"""The checkpoint that a path means."""

from __future__ import annotations

import json
import shutil

import pytest

from videomac.errors import CheckpointError
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.find_checkpoint import local_checkpoint


@pytest.fixture
def run(saved, tmp_path):
    """A run with two intact checkpoints."""
    for name in ("step_0000000", "step_0000005"):
        shutil.copytree(saved, tmp_path / "checkpoints" / name)
    return tmp_path


def test_a_checkpoint_is_itself(saved):
    with local_checkpoint(str(saved)) as folder:
        assert folder == saved


def test_the_newest_intact_checkpoint_of_a_run(run):
    (run / "checkpoints/step_0000009").mkdir()  # what a killed upload leaves
    with local_checkpoint(str(run)) as folder:
        assert folder.name == "step_0000005"
    weights = run / "checkpoints/step_0000005/online.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with local_checkpoint(str(run)) as folder:
        assert folder.name == "step_0000000"


def test_the_checkpoint_in_best(run):
    (run / "best").mkdir()
    (run / "checkpoints/step_0000000").rename(run / "best/step_0000000")
    (run / "best/best.json").write_text(json.dumps({"name": "step_0000000", "score": 0.5}))
    with local_checkpoint(f"{run}/best") as folder:
        assert folder == run / "best/step_0000000"


def test_a_damaged_checkpoint_alone_says_what_is_wrong(run):
    folder = run / "checkpoints/step_0000005"
    (folder / "online.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"step_0000005: no intact checkpoint: .*online\.safetensors"):
        local_checkpoint(str(folder)).__enter__()


def test_a_run_folder_exports_its_last_whole_checkpoint(saved, tmp_path):
    (saved.parent / "step_0000009").mkdir(exist_ok=True)  # what a killed upload leaves

    card = export_checkpoint(str(saved.parent.parent), str(tmp_path / "out"))

    assert card.step == 0


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="neither a checkpoint folder nor a run"):
        export_checkpoint(str(tmp_path), str(tmp_path / "out"))
