"""Small pretraining runs for the tests: settings, readers of what a run wrote, and signals at the right moment."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from videomac import config
from videomac.pretrain.ledger import read_ledger
from videomac.records.events import Event, WorkerStarted, parse_event
from videomac.records.metrics import MetricsLine, parse_line
from videomac.storage.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def make_settings(shards: Path, storage: Path | str, name: str, **changes) -> config.Pretrain:
    """Return settings of two workers, 12 steps of 8 rows on 64 px, a checkpoint every 4. Changes: `train__steps=5`."""
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


E = TypeVar("E", bound=Event)


def read_lines(folder: Path, name: str) -> list[str]:
    """Return the complete lines of a file that may still be growing."""
    path = folder / name
    return path.read_text().split("\n")[:-1] if path.is_file() else []


def events(folder: Path, kind: type[E]) -> list[E]:
    """Return the events of one kind, in order."""
    found = [parse_event(line, "events.jsonl") for line in read_lines(folder, "events.jsonl")]
    return [event for event in found if isinstance(event, kind)]


def losses(folder: Path) -> dict[int, list[float]]:
    """Return the losses logged for each step, one for each attempt that reached it."""
    by_step: dict[int, list[float]] = {}
    for content in read_lines(folder, "metrics.jsonl"):
        line = parse_line(content, "metrics.jsonl")
        if isinstance(line, MetricsLine):
            by_step.setdefault(line.step, []).append(line.loss)
    return by_step


def committed(folder: Path) -> set[str]:
    """Return the names of the checkpoints that Ray Train would resume from."""
    snapshot = folder / "checkpoints" / "checkpoint_manager_snapshot.json"
    return set(re.findall(r"step_\d+", snapshot.read_text())) if snapshot.is_file() else set()


def wait_until(condition: Callable[[], bool], timeout_s: float = 200.0) -> None:
    """Wait for a condition, looking every 50 ms."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.05)


def when(condition: Callable[[], bool], then: Callable[[], object]) -> threading.Thread:
    """Call `then` from a thread once the condition holds."""

    def watch() -> None:
        wait_until(condition)
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def send_to_worker(folder: Path, rank: int, which: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the newest worker of that rank; return its process id."""
    pid = [event.pid for event in events(folder, WorkerStarted) if event.rank == rank][-1]
    os.kill(pid, which)
    return pid


def kill_once_committed(folder: Path, name: str, rank: int = 1, logged: int = 0) -> threading.Thread:
    """Kill a worker as soon as that checkpoint is listed and that step is logged."""
    return when(
        lambda: name in committed(folder) and max(losses(folder), default=0) >= logged,
        lambda: send_to_worker(folder, rank),
    )


def assert_each_row_used_once(settings: config.Pretrain) -> None:
    """Check in the ledger that step i used rows [i*E, (i+1)*E), whatever happened to the workers."""
    size = settings.train.batch_size
    steps = read_ledger(RunFolder(settings.run.storage, settings.run.name))
    rows = [(step, line.rows(step)) for line in steps for step in range(line.first_step, line.last_step + 1)]
    assert rows == [(step, list(range((step - 1) * size, step * size))) for step in range(1, settings.train.steps + 1)]
