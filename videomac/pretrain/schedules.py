"""Learning rate and EMA momentum, as pure functions of the rows used so far."""

from __future__ import annotations

import math

from videomac.config import Optim


def peak_learning_rate(blr: float, batch_size: int) -> float:
    """Return blr * pairs per update / 256, the linear scaling rule of MAE."""
    return blr * batch_size / 256


def learning_rate(progress: float, peak: float, warmup_share: float) -> float:
    """Return the learning rate: linear from 0 to `peak` over the warm-up, then half a cosine to 0.

    As MAE's `adjust_learning_rate`. `progress` is (rows used before the step) / (rows in the run), so the first step of
    a warm-up has rate 0.
    """
    if progress < warmup_share:
        return peak * progress / warmup_share
    if warmup_share >= 1:
        return peak
    after = min(1.0, (progress - warmup_share) / (1 - warmup_share))
    return peak * 0.5 * (1 + math.cos(math.pi * after))


def momentum(rows_used: int, rows_in_run: int, rows_in_epoch: int, config: Optim) -> float:
    """Return the EMA momentum: a cosine from `ema_momentum[0]` to `ema_momentum[1]`.

    With `ema_schedule: run` it spans the run. With `epoch_restart` it is the published code's: as long as the run, but
    indexed by the step inside the epoch, so it starts again with each epoch and hardly rises.
    """
    position = rows_used % rows_in_epoch if config.ema_schedule == "epoch_restart" else rows_used
    start, end = config.ema_momentum
    return end - (end - start) * 0.5 * (1 + math.cos(math.pi * min(1.0, position / rows_in_run)))
