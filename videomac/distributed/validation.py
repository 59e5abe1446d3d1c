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
from videomac.distributed.sequences import probe
from videomac.errors import EvaluationError
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.runlog import RunFolder
from videomac.propagation.tasks import TASKS

BEST = "best"


def validation_config(settings: Pretrain, board: Any) -> ValidationConfig | None:
    """What Ray Train runs on a checkpoint that asks for it; books no CPU itself, its propagation tasks do."""
    if settings.probe is None:
        return None
    score: Any = functools.partial(score_checkpoint, config=settings.model_dump_json(), board=board)
    return ValidationConfig(fn=score, ray_remote_kwargs={"num_cpus": 0})


def score_checkpoint(checkpoint: Checkpoint, config: str, board: Any) -> dict[str, float]:
    """Scores of a checkpoint, kept in `probes/`; copies it to `best/` if none scored higher."""
    settings = Pretrain.model_validate_json(config)
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
    board.post.remote({"probe_s": seconds, "probe": f"{headline} {scores[headline]:.3f} ({name})"})
    return {f"probe/{key}": value for key, value in scores.items()}


def keep_best(folder: RunFolder, name: str, path: Path, score: float) -> bool:
    """Copies the checkpoint to `best/NAME` if its score is the highest so far; `best/best.json` names it.

    The copy is whole before `best.json` points at it, and the one before is removed only then.
    """
    before = json.loads(folder.read(f"{BEST}/best.json") or b"{}")
    if score <= before.get("score", float("-inf")):
        return False
    for file in sorted(path.iterdir()):
        folder.write(f"{BEST}/{name}/{file.name}", file.read_bytes())
    folder.write(f"{BEST}/best.json", json.dumps({"name": name, "score": score}).encode())
    if before and before["name"] != name:
        for file in folder.names(f"{BEST}/{before['name']}"):
            folder.remove(f"{BEST}/{before['name']}/{file}")
    return True
