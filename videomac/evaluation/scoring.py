"""One job: a clip scored with one candidate and seed, and what results and pictures need of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from videomac.evaluation.pictures import components, shown_frames
from videomac.evaluation.setup import Job
from videomac.facts.presets import Preset
from videomac.propagation import tasks
from videomac.propagation.extractors import Extractor
from videomac.records.evaluation import ClipRecord


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a job gives."""

    record: ClipRecord
    prediction: np.ndarray
    """As `tasks.ClipResult` has it."""
    components_tyx3: np.ndarray | None
    """Principal components of the features of the frames that pictures show."""


def score(job: Job, extractor: Extractor, preset: Preset, device: str, with_components: bool) -> Answer:
    """Score a clip; the features of a few frames are kept for a picture if `with_components`.

    Raises:
        EvaluationError: frames or labels cannot be read, or the first labels are empty.
    """
    shown = shown_frames(job.clip) if with_components else ()
    result = tasks.score_clip(job.clip, extractor, preset, job.key.task, device, shown)
    record = ClipRecord(
        key=job.key, scores=result.scores, parts=result.parts, seconds=result.seconds, facts=extractor.facts
    )
    coloured = None if result.features_tcyx is None else components(result.features_tcyx)
    return Answer(record, result.prediction, coloured)
