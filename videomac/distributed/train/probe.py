"""The probe: label propagation on checkpoints, beside the training, as Ray Train's own validation.

Ray Train keeps the newest checkpoints, and those whose score is pending. The best-scored one is copied to `best/` by
the task that scored it, before Ray Train may delete it.
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from ray.train import Checkpoint, ValidationConfig

from videomac.config import Pretrain
from videomac.errors import EvaluationError
from videomac.evaluation.probe import probe
from videomac.facts.tasks import TASKS
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.writers import open_writers
from videomac.storage.run_folder import JsonLines, RunFolder

BEST = "best"
STEP = "probe/step"
"""Metric: the step of the checkpoint whose scores stand in the line, which is an earlier one than the line's."""


def validation_config(settings: Pretrain, board: Any) -> ValidationConfig | None:
    """What Ray Train runs on a checkpoint that asks for it: one task on one thread, which books no CPU.

    It would never start if it did: the training may hold all CPUs there are.
    """
    if settings.probe is None:
        return None
    score: Any = functools.partial(score_checkpoint, settings=settings, board=board)
    return ValidationConfig(fn=score, ray_remote_kwargs={"num_cpus": 0})


def score_checkpoint(checkpoint: Checkpoint, settings: Pretrain, board: Any) -> dict[str, float]:
    """Scores of a checkpoint, kept in `probes/`; copies it to `best/` if none scored higher."""
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
    folder.write(f"probes/{name}.json", json.dumps({"scores": scores, "seconds": seconds}).encode())
    figures = _figures(name, scores)
    board.post.remote({"probe_s": seconds, "probe": f"{headline} {scores[headline]:.3f} ({name})", "probes": [figures]})
    return figures


def log_rest(settings: Pretrain, folder: RunFolder) -> None:
    """Probes that ended after the workers' last line become lines of metrics, at the last step: the driver's part."""
    if settings.probe is None:
        return
    lines = [json.loads(line) for line in (folder.read("metrics.jsonl") or b"").splitlines()]
    known = {line.get(STEP) for line in lines}
    found = [
        _figures(n.removesuffix(".json"), json.loads(folder.read(f"probes/{n}") or b"{}")["scores"])
        for n in folder.names("probes")
    ]
    rest = [figures for figures in found if figures[STEP] not in known]
    if not rest or not lines:
        return
    metrics, writers = JsonLines(folder, "metrics.jsonl"), open_writers(settings, folder)
    for figures in rest:
        metrics.write({"step": lines[-1]["step"], **figures})
        for writer in writers:
            writer.scalars(lines[-1]["step"], figures)
    metrics.flush()
    for writer in writers:
        writer.close()


def best(folder: RunFolder) -> dict[str, Any] | None:
    """Name and score of the checkpoint in `best/`, None where no probe has scored one."""
    content = folder.read(f"{BEST}/best.json")
    return json.loads(content) if content else None


def _figures(name: str, scores: dict[str, float]) -> dict[str, float]:
    return {STEP: float(name.split("_")[1]), **{f"probe/{key}": value for key, value in scores.items()}}


def keep_best(folder: RunFolder, name: str, path: Path, score: float) -> bool:
    """Copies the checkpoint to `best/NAME` if its score is the highest so far; `best/best.json` names it.

    The copy is whole before `best.json` points at it, and the one before is removed only then.
    """
    before = best(folder) or {}
    if score <= before.get("score", float("-inf")):
        return False
    for file in sorted(path.iterdir()):
        folder.upload(f"{BEST}/{name}/{file.name}", file)
    folder.write(f"{BEST}/best.json", json.dumps({"name": name, "score": score}).encode())
    if before and before["name"] != name:
        for file in folder.names(f"{BEST}/{before['name']}"):
            folder.remove(f"{BEST}/{before['name']}/{file}")
    return True
