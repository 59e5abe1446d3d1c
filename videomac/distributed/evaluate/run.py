"""Evaluation on Ray: every (row of the table, seed, clip) is a task; finished clips are kept and taken over.

The driver alone writes: predictions and a `clips/ROW/CLIP.json` for each clip as it comes back, then `results.json`,
pictures and the page. `docs/evaluation.md` documents the files.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from videomac import config
from videomac.distributed.cluster import connected
from videomac.distributed.evaluate.pictures import draw_all
from videomac.errors import EvaluationError
from videomac.evaluation import results
from videomac.evaluation.candidates import Row, plan_rows
from videomac.evaluation.labelled_data import check_labelled_data
from videomac.facts import presets
from videomac.facts.presets import Preset
from videomac.facts.tasks import TASKS
from videomac.propagation import summary, tasks
from videomac.propagation.clips import Clip
from videomac.propagation.extractors import Extractor
from videomac.propagation.load import load_extractor
from videomac.propagation.tasks import ClipResult
from videomac.report.evaluation import write_evaluation_report
from videomac.text import clock


@dataclasses.dataclass(frozen=True)
class _Job:
    row: Row
    seed: int
    clip: Clip
    key: dict[str, Any]


def evaluate(settings: config.Evaluate) -> dict[str, Any]:
    """`videomac evaluate`: scores every row of the table; writes results, predictions, pictures and page into `out`.

    Clips finished under the same protocol, data and features are taken over. A clip that fails is named, the rest is
    scored, and the totals say that they are partial. Returns what `results.json` holds.

    Raises:
        ConfigError: the data set is not there, or its split names no clips.
        EvaluationError: no features are given, or no clip could be scored; the message holds the first failure.
    """
    preset = presets.resolve(settings.preset, settings.task, settings.settings.model_dump())
    check_labelled_data(settings)
    rows = plan_rows(settings)
    with connected():
        clips, outcome = _score(settings, preset, rows)
        results.write(settings.out, outcome)
        if settings.pictures:
            print(f"evaluate: drawing pictures of {len(clips)} clips", flush=True)
            scored = {name for row in outcome["rows"] for name in row["clips"]}
            draw_all(settings, preset, rows, {name: clip for name, clip in clips.items() if name in scored})
    page = write_evaluation_report(settings.out)
    results.print_table(outcome)
    print(f"{settings.out}/results.json, {page}", flush=True)
    return outcome


def probe(export_dir: str, settings: config.Evaluate) -> dict[str, float]:
    """Scores of one export, for Ray Train's validation: no pictures, no page, nothing kept.

    Runs in this process, clip after clip, and asks Ray for nothing: beside a training that holds nearly all CPUs,
    tasks of its own might never start. All clips count or none: probes of a run must be comparable.

    Raises:
        EvaluationError: a clip could not be scored.
    """
    import torch

    with tempfile.TemporaryDirectory() as out:
        alone = settings.model_copy(update={"model": export_dir, "features": (), "baselines": (), "out": out})
        preset = presets.resolve(alone.preset, alone.task, alone.settings.model_dump())
        (row,) = plan_rows(alone)
        device = "cuda" if settings.gpu else "cpu"
        torch.set_num_threads(1)  # the training's threads are not to wait for these
        extractor = load_extractor(row.source, row.stage, 0, settings.stride_reduction, device)
        clips = [tasks.read_clip(alone.task, alone.data, name) for name in tasks.clip_names(alone.task, alone.data)]
        parts = {c.name: tasks.score_clip(c, extractor, preset, alone.task, device).parts for c in clips}
        return summary.total(alone.task, parts)[0]


def _score(settings: config.Evaluate, preset: Preset, rows: list[Row]) -> tuple[dict[str, Clip], dict[str, Any]]:
    clips, failures = _read_clips(settings)
    scored: results.Scored = {}
    say = _Progress(sum(len(row.seeds) for row in rows) * len(clips), TASKS[settings.task].headline)
    for job, record in _records(settings, preset, rows, list(clips.values())):
        say.scored(job, record)
        if "error" in record:
            failures.append({"features": job.row.label, "clip": job.clip.name, "seed": job.seed, **record})
            print(f"{job.row.label}, {job.clip.name}: not scored: {record['error']}", flush=True)
        else:
            scored.setdefault((job.row.label, job.seed), {})[job.clip.name] = record
    return clips, results.assemble(settings, preset, rows, clips, scored, failures)


class _Progress:
    """A line for every scored clip: on which features, how well, and how long the rest takes."""

    def __init__(self, total: int, headline: str) -> None:
        self._total, self._headline, self._done = total, headline, 0
        self._begin = time.monotonic()

    def scored(self, job: _Job, record: dict[str, Any]) -> None:
        """Says that a job is done."""
        self._done += 1
        left_s = (time.monotonic() - self._begin) / self._done * (self._total - self._done)
        score = f"{self._headline} {record['scores'][self._headline]:.3f}" if "scores" in record else "not scored"
        seed = f", seed {job.seed}" if len(job.row.seeds) > 1 else ""
        print(
            f"evaluate: {self._done} of {self._total} | {job.row.label}{seed}, {job.clip.name}: {score} | "
            f"{clock(left_s)} left",
            flush=True,
        )


def _read_clips(settings: config.Evaluate) -> tuple[dict[str, Clip], list[dict[str, Any]]]:
    clips, failures = {}, []
    for name in tasks.clip_names(settings.task, settings.data):
        try:
            clips[name] = tasks.read_clip(settings.task, settings.data, name)
        except EvaluationError as error:
            failures.append({"features": None, "clip": name, "seed": None, "error": str(error)})
            print(f"{name}: not scored: {error}", flush=True)
    if not clips:
        reason = failures[0]["error"] if failures else "the list of clips is empty"
        raise EvaluationError(f"{settings.data.root}: no clip can be scored: {reason}")
    return clips, failures


def _records(
    settings: config.Evaluate, preset: Preset, rows: list[Row], clips: list[Clip]
) -> Iterator[tuple[_Job, dict[str, Any]]]:
    """Each job with its record, finished ones first; at most `parallel` tasks run at a time."""
    waiting = []
    for row in rows:
        for seed in row.seeds:
            for clip in clips:
                job = _Job(row, seed, clip, results.job_key(settings, preset, row, seed, clip))
                kept = results.read_clip_record(settings.out, job.row.slug, seed, clip.name, job.key)
                if kept is None:
                    waiting.append(job)
                else:
                    yield job, kept
    weights = {row.label: ray.put(row.files()) for row in {job.row.label: job.row for job in waiting}.values()}
    waiting.sort(
        key=lambda job: len(job.clip.frames.files)
    )  # popped from the end: long clips first, for an even finish
    limit = settings.parallel or max(1, int(ray.cluster_resources().get("GPU" if settings.gpu else "CPU", 1)))
    running: dict[ray.ObjectRef, _Job] = {}
    while waiting or running:
        while waiting and len(running) < limit:
            job = waiting.pop()
            # "DEFAULT": beside, not inside, the placement group of a Tune trial that scores itself.
            task = _score_remotely.options(num_cpus=1, num_gpus=int(settings.gpu), scheduling_strategy="DEFAULT")
            running[task.remote(job, weights[job.row.label], preset, settings)] = job
        (done,), _ = ray.wait(list(running))
        job = running.pop(done)
        yield job, _collect(settings, job, done)


def _collect(settings: config.Evaluate, job: _Job, done: ray.ObjectRef) -> dict[str, Any]:
    try:
        result, facts = ray.get(done)
    except (EvaluationError, RayError) as error:
        cause = getattr(error, "cause", None) or error
        text = str(cause) if isinstance(cause, EvaluationError) else f"{type(cause).__name__}: {str(cause).strip()}"
        return {"error": text.splitlines()[-1] if text else type(cause).__name__}
    record = {"key": job.key, "scores": result.scores, "parts": result.parts, "seconds": result.seconds, "facts": facts}
    results.write_clip(settings.out, job.row.slug, job.seed, job.clip, result.prediction, record)
    return record


@ray.remote(max_retries=2)
def _score_remotely(
    job: _Job, weights: dict[str, bytes], preset: Preset, settings: config.Evaluate
) -> tuple[ClipResult, dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    device = "cuda" if settings.gpu else "cpu"
    extractor = _extractor(job.row.with_weights(_unpacked(weights)), job.seed, settings.stride_reduction, device)
    return tasks.score_clip(job.clip, extractor, preset, settings.task, device), extractor.facts.to_plain()


@functools.lru_cache(maxsize=2)
def _extractor(row: Row, seed: int, stride_reduction: int, device: str) -> Extractor:
    return load_extractor(row.source, row.stage, seed, stride_reduction, device)


def _unpacked(files: dict[str, bytes]) -> str | None:
    """The export's files in a folder of this node's own; the same bytes go to the same folder."""
    if not files:
        return None
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
