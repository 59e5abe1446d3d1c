"""Training under Ray Train against the same loop without Ray, two workers against one, and waiting for data.

.venv/bin/python benchmarks/training.py [--quick]

Every comparison is made inside one run with one thread per worker. Under Ray runs the training worker itself, with its
ledger, metrics, signs of life and notices, on rows that cost nothing. `--quick` takes fewer steps and fewer clips, and
leaves two workers out.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from ray.train.torch import TorchConfig, TorchTrainer
from rows import Row, finish
from torch.utils.flop_counter import FlopCounterMode

from videomac import config
from videomac.data.batch import Batch
from videomac.distributed.train import worker
from videomac.distributed.train.board import BoardClient
from videomac.facts.heap import FREED_MEMORY_STAYS
from videomac.facts.shipped import SAMPLES
from videomac.pretrain import loop
from videomac.pretrain.setup import build_state, derive_extent
from videomac.pretrain.step import StepReport, train_step
from videomac.records.checkpoint import DataFacts
from videomac.records.metrics import MetricsLine

SIZE, ROWS_IN_EPOCH, WARM_UP = 160, 1000, 3


def make_settings(steps: int, rows: int, **changes: Any) -> config.Pretrain:
    """The quickstart's network; rows are pairs of one step."""
    tree = {
        "run": {"name": "benchmark", "storage": "unused"},
        "data": {"manifest": "none", "image_size": [SIZE, SIZE]},
        "model": {"encoder": {"name": "convnextv2_atto"}, "decoder_dim": 256},
        "train": {"batch_size": rows, "micro_batch": rows, "steps": steps},
        "log": {"every_steps": 5, "writers": []},
        "checkpoint": {"every_steps": 1_000_000},
    }
    return config.validate(config.Pretrain, tree, "benchmark").with_values(**changes)


class Repeated(Iterator[Batch]):
    """The same decoded rows again and again: costs nothing, so that the loop alone is measured."""

    wait_s = 0.0

    def __init__(self, settings: config.Pretrain) -> None:
        rng, rows, size = np.random.default_rng(0), settings.train.micro_batch, settings.data.image_size[0]
        cells = (size // settings.model.cell) ** 2
        keep = int(cells * (1 - settings.model.mask_ratio))
        self.counters, self.decoder_pids, self.known_bad = collections.Counter(), set(), {}
        self.taken_s: list[float] = []
        self._batch = Batch.collate(
            {
                "frames": rng.integers(0, 256, (rows, 2, size, size, 3), np.uint8),
                "cells": np.sort(np.stack([rng.permutation(cells)[:keep] for _ in range(rows)]), 1),
                "g": np.arange(rows),
                "code": np.zeros(rows),
                "seed": np.arange(rows),
                "key": np.array(["clip"] * rows),
            }
        )

    def __next__(self) -> Batch:
        self.taken_s.append(time.perf_counter())
        return self._batch

    def ray_stats(self) -> tuple[dict[str, float], str]:
        """None."""
        return {}, ""

    def close(self) -> None:
        """Nothing to end."""


class IdleHost:
    """A host of the loop that does nothing."""

    def stepped(self, report: StepReport) -> None:
        """Nothing."""

    def log(self, line: MetricsLine) -> None:
        """Nothing."""

    def draw(self, report: StepReport) -> None:
        """Nothing."""

    def checkpoint(self, line: MetricsLine) -> None:
        """Nothing."""

    def held_out(self) -> dict[str, float]:
        """Nothing."""
        return {}

    def name_bad_rows(self) -> collections.Counter[str]:
        """There are none."""
        return collections.Counter()

    def must_save_now(self) -> bool:
        """Never."""
        return False


def without_ray(settings: config.Pretrain) -> list[float]:
    """Seconds of each step after the first ones, in this process."""
    torch.set_num_threads(1)
    state = build_state(settings, derive_extent(settings, ROWS_IN_EPOCH, 1), torch.device("cpu"))
    batches = Repeated(settings)
    loop.run(state, batches, IdleHost())
    return step_seconds(batches.taken_s)


def step_seconds(taken_s: list[float]) -> list[float]:
    """From one step's batch to the next one's, without the first `WARM_UP` steps."""
    return np.diff(taken_s)[WARM_UP:].tolist()


def in_ray_train(config: dict[str, worker.WorkerTask]) -> list[float]:
    """The train function on repeated rows."""
    batches: Any = Repeated(config["task"].settings)
    worker.open_stream = lambda *_: batches
    worker.train_worker(config)
    return step_seconds(batches.taken_s)


def under_ray_train(settings: config.Pretrain, workers: int) -> list[float]:
    """Seconds of worker 0's steps."""
    with tempfile.TemporaryDirectory() as storage:
        placed = settings.with_values(**{"run.storage": storage})
        plan: Any = SimpleNamespace(rows_per_epoch=ROWS_IN_EPOCH)
        task = worker.WorkerTask(placed, plan, BoardClient(), DataFacts(), os.getcwd())
        trainer = TorchTrainer(
            in_ray_train,
            train_loop_config={"task": task},
            scaling_config=ray.train.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
            torch_config=TorchConfig(backend="gloo"),
            run_config=ray.train.RunConfig(
                name="b", storage_path=storage, worker_runtime_env={"env_vars": FREED_MEMORY_STAYS}
            ),
        )
        return trainer.fit().return_value or []


def matmul_gflops() -> float:
    """This machine's single-thread float32 rate: the best of several 1024 x 1024 products."""
    torch.set_num_threads(1)
    a = torch.randn(1024, 1024)
    best = min(_seconds(lambda: a @ a) for _ in range(10))
    return 2 * 1024**3 / best / 1e9


def step_gflop(settings: config.Pretrain) -> float:
    """Arithmetic of one step's matrix products and convolutions, forward and backward."""
    state = build_state(settings, derive_extent(settings, ROWS_IN_EPOCH, 1), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        train_step(state, Repeated(settings))
    return counter.get_total_flops() / 1e9


def _seconds(call: Any) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def compare_loops(quick: bool) -> list[Row]:
    """One worker under Ray Train against no Ray, before and after it; then two workers with half the rows each."""
    settings = make_settings(9 if quick else 60, 6 if quick else 16)
    before = without_ray(settings)
    one = statistics.median(under_ray_train(settings, 1))
    plain = statistics.median(before + without_ray(settings))
    rate, peak = step_gflop(settings) / plain, matmul_gflops()
    against = f"matmul, {peak:.0f} GFLOP/s on one thread"
    return [
        Row(
            "steps/s, Ray Train with 1 worker",
            plain / one,
            "the same loop without Ray",
            0.97,
            {"steps_per_s": round(1 / one, 2)},
        ),
        Row("arithmetic rate of a step", rate / peak, against, None, {"gflop_per_s": round(rate, 1)}),
        *([] if quick else [two_workers(settings, one)]),
    ]


def two_workers(settings: config.Pretrain, one: float) -> Row:
    """Two workers with half the rows each against one, whose step takes `one` seconds."""
    rows = settings.train.batch_size // 2
    two = statistics.median(under_ray_train(settings.with_values(**{"train.micro_batch": rows}), 2))
    alone = settings.with_values(**{"train.batch_size": rows, "train.micro_batch": rows})
    half = statistics.median(without_ray(alone))
    return Row(
        "steps/s, 2 workers", one / two, "1 worker, same effective batch", None, {"note": limits(one, two, half)}
    )


def limits(one: float, two: float, half: float) -> str:
    """What keeps two workers from twice the speed, from the seconds of three steps: whole, shared, and half alone."""
    return (
        f"{1 / two:.2f} steps/s; half the rows alone take {half / one:.0%} of a step (optimiser, EMA: not shared), "
        f"two workers {two / one:.0%}: the rest is gradients over gloo and {os.cpu_count()} cores' common memory"
    )


def endurance(steps: int) -> list[Row]:
    """Step time and memory of a long run of small steps: the last tenth against the first after warming up."""
    from videomac.pretrain.metrics import memory_mb

    torch.set_num_threads(1)
    settings = make_settings(steps, 2, **{"data.image_size": [64, 64]})
    device = torch.device("cpu")
    state = build_state(settings, derive_extent(settings, ROWS_IN_EPOCH, 1), device)
    batches, seconds, memory = Repeated(settings), [], []
    for _ in range(steps):
        seconds.append(_seconds(lambda: train_step(state, itertools.islice(batches, 1))))
        memory.append(memory_mb(device))
    tenth = steps // 10
    first, last = statistics.median(seconds[tenth : 2 * tenth]), statistics.median(seconds[-tenth:])
    grown = memory[-1] - memory[tenth]
    at_least = 0.9 if steps >= 2000 else None  # of fewer steps the tenths are too short to tell
    return [
        Row(
            f"step time, last tenth of {steps}",
            first / last,
            "the second tenth",
            at_least,
            {"step_ms": round(1000 * last, 1)},
        ),
        Row(
            f"memory after {steps} steps",
            memory[tenth] / memory[-1],
            "after a tenth",
            0.97,
            {"grown_mib": round(grown, 1)},
        ),
    ]


def waiting(quick: bool) -> list[Row]:
    """The quickstart's training on its own shards: share of time that is not blocked in `next(batch)`."""
    from shards.build import build_shards
    from videomac.distributed.train.launch import pretrain

    quickstart = config.load(config.Quickstart, "configs/quickstart.yaml")
    with tempfile.TemporaryDirectory() as folder:
        manifest, clips = f"{folder}/shards/manifest.json", f"{folder}/clips"
        os.mkdir(clips)
        for clip in sorted((SAMPLES / "clips").glob("*.*"))[: 2 if quick else None]:
            shutil.copy(clip, clips)
        build_shards(quickstart.shards.model_copy(update={"source": clips, "out": f"{folder}/shards"}))
        settings = quickstart.pretrain.with_values(
            **{
                "data.manifest": manifest, "run.storage": folder, "run.name": "waiting", "log.writers": [],
                "train.steps": 3 if quick else 60, "checkpoint.every_steps": 1_000_000,
            }
        )  # fmt: skip
        metrics = pretrain(settings).metrics
    steps_per_s = 1 / metrics["step_s"]
    share = 1 - metrics["wait_share_total"]
    return [
        Row(
            "quickstart, time not blocked in next(batch)",
            share,
            "wall time after step 1",
            0.95,
            {"steps_per_s": round(steps_per_s, 2)},
        )
    ]


def main(argv: list[str] | None = None) -> int:
    """Runs all comparisons; returns 1 if one falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute; figures are rougher")
    quick = parser.parse_args(argv).quick
    if not FREED_MEMORY_STAYS.items() <= os.environ.items():  # as in training, also for the loop without Ray
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | FREED_MEMORY_STAYS)
    os.environ["RAY_API_SERVER_ADDRESS"] = "http://127.0.0.1:9"  # no dashboard: another cluster's must not be asked
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"  # as `videomac pretrain` sets it
    rows = endurance(20 if quick else 2000)
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    rows += compare_loops(quick) + waiting(quick)
    ray.shutdown()
    return finish("training", rows)


if __name__ == "__main__":
    sys.exit(main())
