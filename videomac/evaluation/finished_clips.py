"""Clips that every candidate has scored: their predictions in hand, and the pictures that are drawn from them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from videomac.evaluation.candidates import Candidate
from videomac.evaluation.clip_records import read_prediction
from videomac.evaluation.pictures import components, draw_clip, features_of_shown
from videomac.evaluation.setup import Job
from videomac.facts.presets import Preset
from videomac.propagation.clips import Clip
from videomac.storage.copies import write_file


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What pictures need of one candidate's first seed: in hand, or left in the folder by an earlier run."""

    job: Job
    in_hand: np.ndarray | None = None
    components_tyx3: np.ndarray | None = None

    def read(self, out: str) -> np.ndarray | None:
        """Return the prediction, None if it was removed from the folder."""
        return read_prediction(out, self.job) if self.in_hand is None else self.in_hand


@dataclasses.dataclass(frozen=True)
class FinishedClip:
    """A clip with the prediction of each candidate, in order; None where a candidate could not be scored."""

    clip: Clip
    predictions: tuple[Prediction | None, ...]


class OpenClips:
    """Clips with jobs that have not come back, and the predictions of those that have."""

    def __init__(self, candidates: tuple[Candidate, ...], jobs: Iterable[Job]) -> None:
        self._candidates = candidates
        self._jobs_left = collections.Counter(job.clip.name for job in jobs)
        self._held: dict[str, dict[Candidate, Prediction]] = collections.defaultdict(dict)

    def ended(self, job: Job, prediction: Prediction | None) -> list[FinishedClip]:
        """Keep what a job gave; return its clip if this was the last of its jobs and any candidate was scored."""
        name = job.clip.name
        if prediction is not None and job.seed == job.candidate.seeds[0]:
            self._held[name][job.candidate] = prediction
        self._jobs_left[name] -= 1
        if self._jobs_left[name]:
            return []
        held = self._held.pop(name, {})
        return [FinishedClip(job.clip, tuple(map(held.get, self._candidates)))] if held else []


def draw_pictures(out: str, preset: Preset, finished: FinishedClip) -> None:
    """Write the pictures of a clip into the folder of the evaluation.

    Raises:
        EvaluationError: a frame or an annotation cannot be read, or no prediction is left.
        StorageError: the folder cannot be written.
    """
    predictions = [None if prediction is None else prediction.read(out) for prediction in finished.predictions]
    coloured = _components(preset, finished.predictions[0])
    for suffix, content in draw_clip(finished.clip, predictions, coloured).items():
        write_file(f"{out}/pictures/{finished.clip.name}{suffix}", content)


def _components(preset: Preset, first: Prediction | None) -> np.ndarray | None:
    """Return the components of the first candidate's features, computed here only for a clip that was taken over."""
    if first is None:
        return None
    if first.components_tyx3 is not None:
        return first.components_tyx3
    job = first.job
    return components(features_of_shown(job.clip, job.candidate.load(job.seed, "cpu"), preset))
