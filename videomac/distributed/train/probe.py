"""The probe: label propagation on checkpoints, beside the training, as Ray Train's own validation.

Ray Train keeps the newest checkpoints, and those whose score is pending. The task that scores a checkpoint copies the
best one to `best/` before Ray Train may delete it.
"""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path
from typing import Any

from ray.train import Checkpoint, ValidationConfig

from videomac.config import Pretrain
from videomac.distributed.cluster import enter
from videomac.distributed.train.board import BoardClient
from videomac.errors import EvaluationError
from videomac.evaluation.probe import probe
from videomac.facts.tasks import TASKS
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.writers import open_writers
from videomac.records import metrics
from videomac.records.checkpoint import BestCheckpoint, ProbeResult
from videomac.records.metrics import PROBE, PROBE_STEP, ProbeLine
from videomac.storage.lines import JsonLines, read_appended
from videomac.storage.run_folder import RunFolder

BEST = "best"


def validation_config(settings: Pretrain, board: BoardClient, cwd: str) -> ValidationConfig | None:
    """Return what Ray Train runs on a checkpoint that asks for it: one task on one thread, which books no CPU.

    It would never start if it did: the training may hold all CPUs there are. Relative paths of its data are below
    `cwd`.
    """
    if settings.probe is None:
        return None
    score: Any = functools.partial(score_checkpoint, settings=settings, board=board, cwd=cwd)
    return ValidationConfig(fn=score, ray_remote_kwargs={"num_cpus": 0})


def score_checkpoint(checkpoint: Checkpoint, settings: Pretrain, board: BoardClient, cwd: str) -> dict[str, float]:
    """Return the scores of a checkpoint, and keep them in `probes/`; copies it to `best/` if none scored higher."""
    enter(cwd)
    assert settings.probe is not None, "only runs with a probe ask for scores"
    folder = RunFolder(settings.run.storage, settings.run.name)
    name = checkpoint.path.rstrip("/").rpartition("/")[2]
    begin = time.monotonic()
    with checkpoint.as_directory() as path, tempfile.TemporaryDirectory() as export:
        export_checkpoint(path, export)
        scores = probe(export, settings.probe.evaluate)
        headline = TASKS[settings.probe.evaluate.task].headline
        if headline not in scores:
            raise EvaluationError(f"{name}: the probe gave no {headline}, but {', '.join(scores)}")
        keep_best(folder, name, Path(path), scores[headline])
    seconds = time.monotonic() - begin
    folder.write(f"probes/{name}.json", ProbeResult(scores=scores, seconds=seconds).to_json())
    figures = _figures(name, scores)
    board.post({"probe_s": seconds, "probe": f"{headline} {scores[headline]:.3f} ({name})", "probes": [figures]})
    return figures


def log_rest(settings: Pretrain, folder: RunFolder) -> None:
    """Driver: write the probes that ended after the workers' last line as lines of metrics, at the last step."""
    if settings.probe is None:
        return
    content = (read_appended(folder.storage, metrics.FILE) or b"").splitlines()
    lines = [metrics.parse_line(line, f"{folder.url}/{metrics.FILE}") for line in content]
    known = {line.figures().get(PROBE_STEP) for line in lines}
    found = [_figures(name, _result(folder, name).scores) for name in _probed(folder)]
    rest = [figures for figures in found if figures[PROBE_STEP] not in known]
    if rest and lines:
        _append(settings, folder, [ProbeLine.model_validate({"step": lines[-1].step, **figures}) for figures in rest])


def _probed(folder: RunFolder) -> list[str]:
    return [name.removesuffix(".json") for name in folder.names("probes")]


def _result(folder: RunFolder, name: str) -> ProbeResult:
    file = f"probes/{name}.json"
    return ProbeResult.from_json(folder.read(file) or b"", f"{folder.url}/{file}", EvaluationError)


def _append(settings: Pretrain, folder: RunFolder, lines: list[ProbeLine]) -> None:
    file, writers = JsonLines(folder, metrics.FILE), open_writers(settings, folder)
    for line in lines:
        file.write(line)
        for writer in writers:
            writer.scalars(line.step, line.figures())
    file.close()
    for writer in writers:
        writer.close()


def best(folder: RunFolder) -> BestCheckpoint | None:
    """Return name and score of the checkpoint in `best/`, None if no probe has scored one."""
    file = f"{BEST}/best.json"
    content = folder.read(file)
    return BestCheckpoint.from_json(content, f"{folder.url}/{file}") if content else None


def _figures(name: str, scores: dict[str, float]) -> dict[str, float]:
    return {PROBE_STEP: float(name.split("_")[1]), **{f"{PROBE}{key}": value for key, value in scores.items()}}


def keep_best(folder: RunFolder, name: str, path: Path, score: float) -> bool:
    """Copy the checkpoint to `best/NAME` if its score is the highest so far; `best/best.json` names it.

    The copy is complete before `best.json` points at it, and the previous one is removed only then.
    """
    before = best(folder)
    if before is not None and score <= before.score:
        return False
    for file in sorted(path.iterdir()):
        folder.upload(f"{BEST}/{name}/{file.name}", file)
    folder.write(f"{BEST}/best.json", BestCheckpoint(name=name, score=score).to_json())
    if before is not None and before.name != name:
        for file in folder.names(f"{BEST}/{before.name}"):
            folder.remove(f"{BEST}/{before.name}/{file}")
    return True
