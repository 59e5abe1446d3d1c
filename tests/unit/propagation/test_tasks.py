"""Scoring of one clip: every task has a layout, and features are kept for the frames that are asked for."""

from __future__ import annotations

import torch

from videomac import config
from videomac.facts.presets import PRESETS
from videomac.facts.tasks import TASKS
from videomac.propagation import tasks
from videomac.propagation.extractors import extract
from videomac.propagation.load import load_extractor

RAW = config.Candidate(label="raw", source="raw_patch")


def test_every_task_has_a_layout():
    assert tasks.LAYOUTS.keys() == TASKS.keys()


def test_features_are_kept_of_the_frames_that_are_asked_for(small_davis):
    clip = tasks.read_clip("davis", config.LabelledData(root=str(small_davis)), "dog")
    extractor = load_extractor(RAW, 1)
    result = tasks.score_clip(clip, extractor, PRESETS["crw"], "davis", "cpu", keep_features_of=(3, 0))
    expected = list(extract(extractor, clip.frames.read()))
    assert torch.equal(torch.from_numpy(result.features_tcyx), torch.stack([expected[0], expected[3]]))


def test_nothing_is_kept_unasked(small_davis):
    clip = tasks.read_clip("davis", config.LabelledData(root=str(small_davis)), "dog")
    assert tasks.score_clip(clip, load_extractor(RAW, 1), PRESETS["crw"], "davis").features_tcyx is None


def test_a_clip_gives_the_scores_of_its_task(small_davis):
    clip = tasks.read_clip("davis", config.LabelledData(root=str(small_davis)), "dog")
    result = tasks.score_clip(clip, load_extractor(RAW, 1), PRESETS["crw"], "davis")
    assert tuple(result.scores) == TASKS["davis"].scores
