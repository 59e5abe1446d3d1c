"""Training under Ray Train on a real local cluster: two workers, one of them killed; other worker counts; refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from videomac import config
from videomac.errors import ConfigError, TrainingError
from videomac.pretrain.runlog import RunFolder, read_ledger

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory, sample_clips):
    """Shards of four real clips, small enough that decoding costs nothing."""
    from shards.build import build_shards

    from videomac.distributed.cluster import connected

    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    for clip in sorted(sample_clips.iterdir())[:4]:
        shutil.copy(clip, folder / "clips")
    built = config.BuildShards(source=f"{folder}/clips", out=f"{folder}/shards", reencode=True, short_side=64)
    with connected():
        build_shards(built)
    return folder / "shards"


def make_settings(shards: Path, storage: Path, name: str, **changes) -> config.Pretrain:
    tree = {
        "run": {"name": name, "storage": str(storage)},
        "data": {"manifest": f"{shards}/manifest.json", "image_size": [64, 64], "cpus_per_actor": 0.25},
        "model": {"encoder": {"name": "convnextv2_atto"}, "mask_ratio": 0.5, "decoder_dim": 16},
        "optim": {"blr": 0.05},
        "train": {"batch_size": 8, "micro_batch": 4, "steps": 12},
        "workers": {"count": 2, "cpus": 0.5, "threads": 1, "collective_timeout_s": 60.0},
        "checkpoint": {"every_steps": 4},
        "log": {"every_steps": 1, "writers": []},
    }
    settings = config.validate(config.Pretrain, tree, "test")
    return settings.with_values(**{key.replace("__", "."): value for key, value in changes.items()})


def read_lines(folder: Path, name: str) -> list[dict]:
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def kill_a_worker_after(folder: Path, step: int) -> threading.Thread:
    """SIGKILLs rank 1 once that step is logged."""

    def watch() -> None:
        while not any(line["step"] >= step for line in read_lines(folder, "metrics.jsonl")):
            time.sleep(0.05)
        pid = next(e["pid"] for e in read_lines(folder, "events.jsonl") if e["event"] == "worker" and e["rank"] == 1)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def assert_each_row_used_once(settings: config.Pretrain) -> None:
    """The ledger of the whole run: step i used rows [i*E, (i+1)*E), whatever happened to the workers."""
    size = settings.train.batch_size
    steps = read_ledger(RunFolder(settings.run.storage, settings.run.name))
    rows = {step: sorted(g for line in lines for g in line["g"]) for step, lines in steps.items()}
    assert rows == {step: list(range((step - 1) * size, step * size)) for step in range(1, settings.train.steps + 1)}


def test_a_killed_worker_costs_no_row_and_no_bit(shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(shards, tmp_path, "killed")
    killer = kill_a_worker_after(tmp_path / "killed", step=6)

    result = pretrain(settings)

    killer.join(timeout=1)
    lines = read_lines(tmp_path / "killed", "metrics.jsonl")
    attempts = [event for event in read_lines(tmp_path / "killed", "events.jsonl") if event["event"] == "attempt"]
    assert len(attempts) == 2
    resumed_at = attempts[1]["step"]
    assert resumed_at in (0, 4)
    by_step: dict[int, list[float]] = {}
    for line in lines:
        by_step.setdefault(line["step"], []).append(line["loss"])
    assert sorted(by_step) == list(range(1, 13))
    repeated = {step: losses for step, losses in by_step.items() if len(losses) > 1}
    assert set(repeated) >= {resumed_at + 1, 6}
    assert all(losses[0] == losses[1] for losses in repeated.values())
    assert_each_row_used_once(settings)
    assert result.metrics["rows"] == 96
    assert not result.was_finished


def test_a_finished_run_ends_at_once_and_another_config_is_refused(shards, ray_cluster, tmp_path, capsys):
    from videomac.distributed.launch import pretrain

    settings = make_settings(shards, tmp_path, "short", train__steps=2, workers__count=1)
    pretrain(settings)
    begin = time.monotonic()

    again = pretrain(settings)

    assert again.was_finished
    assert time.monotonic() - begin < 5
    assert "finished at step 2" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"model\.mask_ratio: 0\.5 -> 0\.75"):
        pretrain(settings.with_values(**{"model.mask_ratio": 0.75}))


def test_a_nonfinite_loss_stops_the_run_without_restarts(shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(shards, tmp_path, "explodes", train__max_loss=1e-6)

    with pytest.raises(TrainingError, match=r"step 1: loss .*keys: .*last good checkpoint: none"):
        pretrain(settings)

    events = [event["event"] for event in read_lines(tmp_path / "explodes", "events.jsonl")]
    assert events.count("attempt") == 1
    assert events[-1] == "stopped"
