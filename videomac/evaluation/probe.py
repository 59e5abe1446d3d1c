"""The probe: scores of one export in this process, while a training goes on."""

from __future__ import annotations

import torch

from videomac import config
from videomac.evaluation.candidates import export_candidate
from videomac.evaluation.setup import device_of, resolve_preset
from videomac.propagation import summary, tasks


def probe(export_dir: str, settings: config.Evaluate) -> dict[str, float]:
    """Score an export, without pictures or a page; nothing is kept.

    It runs clip after clip in this process and asks Ray for nothing: beside a training that holds nearly all CPUs,
    tasks of its own might never start. All clips count or none, because the probes of a run must be comparable. Of
    `settings` the candidates and the output folder play no part.

    Raises:
        EvaluationError: a clip could not be scored.
    """
    torch.set_num_threads(1)  # do not slow down the training's threads
    preset, device = resolve_preset(settings), device_of(settings)
    extractor = export_candidate(export_dir, settings.stage, settings.stride_reduction).load(0, device)
    names = tasks.clip_names(settings.task, settings.data)
    clips = [tasks.read_clip(settings.task, settings.data, name) for name in names]
    parts = {clip.name: tasks.score_clip(clip, extractor, preset, settings.task, device).parts for clip in clips}
    return summary.total(settings.task, parts)[0]
