"""The Ray tasks of an evaluation: one scores a clip with one candidate and seed, one draws a clip's pictures.

The driver alone writes predictions and records, as clips come back. Pictures are drawn on the driver's node from the
predictions in hand, as soon as every candidate has scored the clip: only a few clips' predictions are held at a time.
"""

from __future__ import annotations

import collections
import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from videomac.distributed.cluster import bounded_map, visible_demand
from videomac.errors import VideomacError
from videomac.evaluation.candidates import Candidate
from videomac.evaluation.clip_records import read_clip_record, write_clip
from videomac.evaluation.finished_clips import FinishedClip, OpenClips, Prediction, draw_pictures
from videomac.evaluation.progress import Progress
from videomac.evaluation.results import Scored
from videomac.evaluation.scoring import Answer, score
from videomac.evaluation.setup import Evaluation, Job
from videomac.facts.presets import Preset
from videomac.propagation.extractors import Extractor

DRAWN_AT_ONCE = 2
"""Clips that are drawn side by side where `parallel` does not say."""


def score_clips(evaluation: Evaluation) -> Scored:
    """Score every clip with every candidate and seed, and draw pictures if the configuration asks for them.

    Clips finished under the same key are taken over. A clip that fails is named and the rest is scored; one whose
    pictures fail is named and keeps its scores.
    """
    scored = Scored(list(evaluation.unreadable))
    finished = _finished_clips(evaluation, scored)
    if evaluation.settings.pictures:
        _draw_all(evaluation, finished)
    else:
        collections.deque(finished, maxlen=0)
    return scored


def _finished_clips(evaluation: Evaluation, scored: Scored) -> Iterator[FinishedClip]:
    """Score; yield each clip once all of its jobs have come back, those taken over as a whole at the end."""
    jobs = list(evaluation.jobs())
    clips, progress = OpenClips(evaluation.candidates, jobs), Progress(len(jobs), evaluation.headline)
    waiting: list[Job] = []
    taken_over: list[FinishedClip] = []
    for job in jobs:
        kept = read_clip_record(evaluation.out, job)
        if kept is None:
            waiting.append(job)
            continue
        scored.add(job, kept)
        progress.scored(job, kept.scores)
        taken_over += clips.ended(job, Prediction(job))
    for job, outcome in bounded_map(_submitter(evaluation), waiting, _limit(evaluation)):
        if outcome.error is not None:
            scored.fail(job, error := _reason(outcome.error))
            progress.failed(job, error)
            yield from clips.ended(job, None)
            continue
        answer = outcome.result()
        write_clip(evaluation.out, job, answer.prediction, answer.record)
        scored.add(job, answer.record)
        progress.scored(job, answer.record.scores)
        yield from clips.ended(job, Prediction(job, answer.prediction, answer.components_tyx3))
    yield from taken_over


def _submitter(evaluation: Evaluation) -> Callable[[Job], ray.ObjectRef[Answer]]:
    """Return what submits a job as a Ray task."""
    # "DEFAULT": beside, not inside, the placement group of a Tune trial that scores itself.
    gpus = int(evaluation.settings.gpu)
    task: Any = _score.options(num_cpus=1, num_gpus=gpus, scheduling_strategy="DEFAULT")
    files = functools.cache(lambda candidate: ray.put(candidate.files()))
    first = evaluation.candidates[0]

    def submit(job: Job) -> ray.ObjectRef[Answer]:
        drawn = evaluation.settings.pictures and job.candidate == first and job.seed == first.seeds[0]
        return task.remote(job, files(job.candidate), evaluation.preset, evaluation.device, drawn)

    return submit


def _limit(evaluation: Evaluation) -> int | Callable[[], int]:
    """Return how many jobs are submitted at a time."""
    resource = "GPU" if evaluation.settings.gpu else "CPU"
    return evaluation.settings.parallel or functools.partial(visible_demand, resource)


def _reason(error: BaseException) -> str:
    """Return an error in one line; the kind of an error that is not ours stands before its text."""
    kind = [] if isinstance(error, VideomacError) else [type(error).__name__]
    return ": ".join(kind + str(error).strip().splitlines()[-1:]) or type(error).__name__


@ray.remote(max_retries=2)
def _score(job: Job, files: dict[str, bytes], preset: Preset, device: str, with_components: bool) -> Answer:
    torch.set_num_threads(1)
    candidate = job.candidate.reading_from(_unpacked(files)) if files else job.candidate
    return score(job, _extractor(candidate, job.seed, device), preset, device, with_components)


@functools.lru_cache(maxsize=2)
def _extractor(candidate: Candidate, seed: int, device: str) -> Extractor:
    return candidate.load(seed, device)


def _unpacked(files: dict[str, bytes]) -> str:
    """Return a folder of this node with an export's files; the same bytes go to the same folder."""
    sha = json.loads(files["card.json"])["weights_sha256"]
    folder = Path(_scratch().name) / sha[:16]
    if not folder.is_dir():
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    return str(folder)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="videomac-evaluate-")


def _draw_all(evaluation: Evaluation, finished: Iterator[FinishedClip]) -> None:
    """Draw the pictures of clips as they are finished."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Books no CPU: the head of a cluster often has none to give.
    task: Any = _draw.options(num_cpus=0, scheduling_strategy=here)

    def submit(clip: FinishedClip) -> ray.ObjectRef[None]:
        return task.remote(evaluation.out, evaluation.preset, clip)

    for done, outcome in bounded_map(submit, finished, evaluation.settings.parallel or DRAWN_AT_ONCE):
        if outcome.error is not None:
            print(f"{done.clip.name}: no pictures: {_reason(outcome.error)}", flush=True)


@ray.remote(max_retries=2)
def _draw(out: str, preset: Preset, clip: FinishedClip) -> None:
    torch.set_num_threads(1)
    draw_pictures(out, preset, clip)
