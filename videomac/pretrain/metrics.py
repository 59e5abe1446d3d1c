"""Measures a run beside its losses: speed, waiting, memory, and the health of the networks.

Shape letters: b rows, c channels.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videomac.data.batch import Batch
from videomac.pretrain import ema
from videomac.pretrain.step import StepReport, TrainState
from videomac.records.metrics import MetricsLine


@runtime_checkable
class Batches(Protocol):
    """This worker's micro-batches, in the plan's order, and how long their consumer was blocked."""

    @property
    def wait_s(self) -> float:
        """Seconds blocked in `next` so far, after the first batch."""
        ...

    def __iter__(self) -> Iterator[Batch]: ...
    def __next__(self) -> Batch: ...


class Meter:
    """Measures speed and waiting between two lines of metrics, and since the end of the attempt's first step."""

    def __init__(self, state: TrainState, batches: Batches) -> None:
        self._state, self._batches = state, batches
        self._start = time.monotonic()
        self._window = self._mark()
        self._after_first_step: tuple[float, float, int] | None = None

    def line(self, report: StepReport) -> MetricsLine:
        """Return one line of metrics.jsonl. Every worker has to call it, because waiting is averaged over all."""
        now = self._mark()
        seconds, waited, rows = (b - a for a, b in zip(self._window, now, strict=True))
        self._window = now
        since = self._after_first_step or now
        total_s, total_wait_s = now[0] - since[0], now[1] - since[1]
        shares = _mean_over_workers([waited / max(seconds, 1e-9), total_wait_s / max(total_s, 1e-9)])
        pairs_per_s = rows / max(seconds, 1e-9)
        left = max(0, self._state.extent.rows_in_run - report.rows)
        return MetricsLine(
            step=report.step,
            rows=report.rows,
            time_s=now[0] - self._start,
            loss=report.loss,
            loss_online=report.loss_online,
            loss_target=report.loss_target,
            loss_consistency=report.loss_consistency,
            lr=report.lr,
            momentum=report.momentum,
            grad_norm=report.grad_norm,
            pairs_per_s=pairs_per_s,
            step_s=seconds * self._state.extent.batch_size / max(rows, 1),
            wait_share=shares[0],
            wait_share_total=shares[1],
            eta_s=left / max(pairs_per_s, 1e-9),
            memory_mb=memory_mb(self._state.device),
            feature_std=feature_std(report.features_bc),
            target_distance=ema.relative_distance(self._state.target, self._state.online),
            bad_rows=self._state.bad_rows,
            skipped_steps=self._state.skipped_steps,
            skipped=report.skipped,
        )

    def first_step_done(self) -> None:
        """Start the totals: the first step waits for actors to start and caches to warm up."""
        self._after_first_step = self._after_first_step or self._mark()

    def _mark(self) -> tuple[float, float, int]:
        return time.monotonic(), self._batches.wait_s, self._state.rows_used


def feature_std(features_bc: Float[Tensor, "b c"]) -> float:
    """Return the standard deviation over rows of each L2-normalized channel, averaged, times sqrt(channels).

    It is near 1 for features that spread over the sphere, and 0 when they have collapsed to one point (Chen & He 2021,
    SimSiam, section 4.1, there without the factor).
    """
    if len(features_bc) < 2:
        return 0.0
    return (F.normalize(features_bc, dim=1).std(0).mean() * features_bc.shape[1] ** 0.5).item()


def memory_mb(device: torch.device) -> float:
    """Return MiB in use: on a GPU the peak of what was allocated, on a CPU the resident size."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _mean_over_workers(values: list[float]) -> list[float]:
    if not dist.is_initialized():
        return values
    means = torch.tensor(values, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(means)
    return (means / dist.get_world_size()).tolist()
