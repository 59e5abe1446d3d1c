"""What tests of layouts share: a section of the configuration, and the score of a clip on raw pixels."""

from __future__ import annotations

from videomac import config
from videomac.facts import presets
from videomac.propagation import tasks
from videomac.propagation.load import load_extractor

RAW = config.Candidate(label="raw", source="raw_colour")


def data(root, **keys):
    return config.LabelledData(root=str(root), **keys)


def score(task, section, name, preset=None, **departures):
    clip = tasks.read_clip(task, section, name)
    return tasks.score_clip(clip, load_extractor(RAW, 1), presets.resolve(preset, task, departures), task)
