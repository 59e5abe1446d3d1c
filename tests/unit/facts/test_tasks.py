"""The table of tasks agrees with the readers and with the scores that a clip of each task is given."""

from pathlib import Path

import numpy as np
import pytest

from videomac.config import Bounds, Candidate, Evaluate, LabelledData
from videomac.facts.presets import resolve
from videomac.facts.tasks import TASKS
from videomac.propagation import summary, tasks
from videomac.propagation.clips import MaskClip, PointClip
from videomac.propagation.frames import find_frames
from videomac.propagation.load import load_extractor

SIDE = 32


@pytest.fixture
def frames(tmp_path: Path):
    from PIL import Image

    for number in range(4):
        Image.new("RGB", (SIDE, SIDE), (40 * number, 0, 0)).save(tmp_path / f"{number:05d}.png")
    return find_frames(tmp_path, Bounds())


def clip_of(task: str, frames, folder: Path):
    from PIL import Image

    if task in ("jhmdb", "keypoints"):
        xy_tj2 = np.full((4, 2, 2), 8.0)
        return PointClip("a", frames, (0, 1, 2, 3), xy_tj2, np.ones((4, 2), bool), ("hand", "foot"), ())
    masks = {}
    ids_hw = np.zeros((SIDE, SIDE), np.uint8)
    ids_hw[:16, :16] = 1
    for number in range(4):
        masks[number] = folder / f"mask_{number}.gif"
        Image.fromarray(ids_hw, "P").save(masks[number])
    return MaskClip("a", frames, masks, (0, 1, 2, 3) if task == "vip" else (1, 2))


@pytest.mark.parametrize("task", TASKS)
def test_the_scores_of_the_table_are_those_that_a_clip_and_the_total_are_given(task, frames, tmp_path):
    extractor = load_extractor(Candidate(label="raw", source="raw_colour"), stage=0)
    preset = resolve(None, task, {"short_side": 4 * SIDE})

    result = tasks.score_clip(clip_of(task, frames, tmp_path), extractor, preset, task)
    total, _ = summary.total(task, {"a": result.parts})

    assert tuple(result.scores) == tuple(total) == TASKS[task].scores
    assert TASKS[task].headline in TASKS[task].scores


def test_every_task_has_a_layout_and_a_key_of_the_configuration():
    assert set(TASKS) == set(tasks.LAYOUTS)
    assert {Evaluate(task=task, data=LabelledData(root=".")).task for task in TASKS} == set(TASKS)
