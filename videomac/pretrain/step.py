"""One training step in torch alone: the same under Ray and in a plain loop.

A step is one optimizer update and one EMA update, after its micro-steps. Every loss is a mean over the valid masked
cells of the whole step, on all workers: gradients are summed with the provisional divisor "all rows are good" and
rescaled once, when the all-reduced count of good rows is known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from videomac import config
from videomac.data.batch import Batch
from videomac.errors import TrainingError
from videomac.pretrain import ema, schedules
from videomac.pretrain.losses import pair_errors
from videomac.pretrain.model import MaskedAutoencoder, normalise_frames
from videomac.pretrain.optim import set_learning_rate

MOST_SKIPPED_IN_A_ROW = 20
"""The run stops when `train.nonfinite: skip` or the gradient scaler has skipped this many steps in a row."""
AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Extent:
    """The numbers that follow from the configuration, the data and the number of workers."""

    batch_size: int
    """Effective batch E of this attempt: rows of one step."""
    micro_steps: int
    """ceil(E / (workers * micro_batch)): micro-batches that each worker takes in one step."""
    rows_in_run: int
    rows_in_epoch: int
    masked_cells: int
    """Masked cells of one row."""
    world: int = 1

    @property
    def steps(self) -> int:
        """Steps in the run at this effective batch."""
        return math.ceil(self.rows_in_run / self.batch_size)


@dataclasses.dataclass
class TrainState:
    """Everything that changes during the run, and what it is computed with."""

    settings: config.Pretrain
    extent: Extent
    online: MaskedAutoencoder
    target: MaskedAutoencoder
    wrapped: nn.Module
    """The online network as the step calls it: inside DDP if there is more than one worker."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    step: int = 0
    rows_used: int = 0
    """Rows of the plan used so far, hence the next row; learning rate and momentum follow from it."""
    bad_rows: int = 0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    """In this attempt; steps without a valid row neither count nor interrupt the row."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        optim = self.settings.optim
        peak = schedules.peak_learning_rate(optim.blr, self.extent.batch_size)
        return schedules.learning_rate(self.rows_used / self.extent.rows_in_run, peak, optim.warmup_share)

    def momentum(self, rows_ahead: int = 0) -> float:
        """Return the EMA momentum at the start of the next step, or `rows_ahead` rows into it."""
        extent = self.extent
        return schedules.momentum(
            self.rows_used + rows_ahead, extent.rows_in_run, extent.rows_in_epoch, self.settings.optim
        )

    @property
    def finished(self) -> bool:
        """Whether no row of the run is left."""
        return self.rows_used >= self.extent.rows_in_run


@dataclasses.dataclass
class StepReport:
    """What one step did; losses are means over the valid masked cells of all workers."""

    step: int
    rows: int
    """Rows used by the run after this step."""
    loss: float
    loss_online: float
    loss_target: float
    loss_consistency: float
    lr: float
    momentum: float
    """EMA momentum at the start of the step."""
    grad_norm: float
    """Norm before clipping."""
    good_rows: int
    skipped: str | None
    """Why no update was made: `no_valid_row`, `nonfinite` or `scaler`; None for a normal step."""
    batches: list[Batch]
    """This worker's micro-batches, for ledger and pictures."""
    features_bc: Tensor
    """Pooled last stage of this worker's last micro-batch, to measure the spread of features."""


@dataclasses.dataclass
class _Sums:
    """Sums over this worker's micro-steps, all-reduced at the end of the step."""

    totals: Tensor
    """[sum L_o, sum L_t, sum L_c, good rows], float32."""
    rows: list[tuple[Batch, Tensor]]
    """Each micro-batch with its rows' losses: to name the keys when one is not finite."""
    features_bc: Tensor


def train_step(state: TrainState, micro_batches: Iterable[Batch]) -> StepReport:
    """Take the step's micro-batches from the iterator, and update online network, optimizer and target network.

    Raises:
        TrainingError: the loss or the gradient is not finite, or the loss is above `train.max_loss`, and
            `train.nonfinite` is `stop`; the message names the step and the clips. All workers raise it.
    """
    lr, momentum = state.learning_rate, state.momentum()
    set_learning_rate(state.optimizer, lr)
    statistics = [buffer.clone() for buffer in state.online.buffers()]
    sums = _accumulate(state, micro_batches)
    if dist.is_initialized():
        dist.all_reduce(sums.totals)
    online, target, consistency, good_rows = sums.totals.tolist()
    cells = max(good_rows, 1.0) * state.extent.masked_cells
    losses = (online / cells, target / cells, consistency / cells)
    loss = losses[0] + losses[1] + state.settings.model.gamma * losses[2]
    grad_norm, skipped = _finish_gradients(state, sums, loss, good_rows)
    if skipped is None:
        _update(state, sums)
    else:
        _undo(state, statistics, skipped)
    state.optimizer.zero_grad()
    _advance(state, good_rows, skipped)
    return StepReport(
        state.step, state.rows_used, loss, *losses, lr, momentum, grad_norm, round(good_rows), skipped,
        [batch for batch, _ in sums.rows], sums.features_bc,
    )  # fmt: skip


def _accumulate(state: TrainState, micro_batches: Iterable[Batch]) -> _Sums:
    """Run forward and backward of every micro-step; DDP reduces gradients in the last one only."""
    sums = _Sums(torch.zeros(4, device=state.device), [], torch.zeros(0))
    last = state.extent.micro_steps - 1
    for index, batch in enumerate(itertools.islice(micro_batches, state.extent.micro_steps)):
        moved = batch.to(state.device)
        with contextlib.nullcontext() if index == last else _without_reduction(state.wrapped):
            loss_b, totals, sums.features_bc = _forward_backward(state, moved)
        sums.totals += totals
        sums.rows.append((batch, loss_b))
        if state.settings.optim.ema_every == "micro_step" and index != last:
            _update_target(state, sums, index)
    if len(sums.rows) <= last:
        raise TrainingError(f"step {state.step + 1}: the data ended after {len(sums.rows)} of {last + 1} micro-batches")
    return sums


def _without_reduction(wrapped: nn.Module) -> contextlib.AbstractContextManager[None]:
    return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else contextlib.nullcontext()


def _forward_backward(state: TrainState, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each row, [sum L_o, sum L_t, sum L_c, good rows], and pooled features."""
    model, extent = state.settings.model, state.extent
    frames = normalise_frames(batch.frames_b2hwc)
    frame1_bchw, frame2_bchw = frames.unbind(1)
    uniform_bl = drop_path_uniforms(batch, state.online) if model.encoder.drop_path > 0 else None
    good_b = batch.weight_b > 0
    dtype = AUTOCAST[state.settings.train.precision]
    with torch.autocast(state.device.type, dtype=dtype, enabled=dtype != torch.float32):
        with torch.no_grad():
            target_bnd, _ = state.target(frame2_bchw, batch.cells_bk, good_b)
        online_bnd, last_bkttc = state.wrapped(frame1_bchw, batch.cells_bk, good_b, uniform_bl)
    errors = pair_errors(
        online_bnd, target_bnd, frame1_bchw, frame2_bchw, batch.cells_bk, model.cell, model.norm_target
    )
    weighted = torch.stack([torch.where(good_b, e * batch.weight_b, 0.0) for e in errors])
    online, _, consistency = weighted.sum(1)
    share = extent.world / (extent.batch_size * extent.masked_cells)  # DDP averages over workers: undo it here
    state.scaler.scale((online + model.gamma * consistency) * share).backward()
    totals = torch.cat([weighted.detach().sum(1), batch.weight_b.sum()[None]])
    return weighted.detach().sum(0), totals, last_bkttc.detach().float().mean((1, 2, 3))


def drop_path_uniforms(batch: Batch, online: MaskedAutoencoder) -> Float[Tensor, "b l"]:
    """Return one number in [0, 1) per row and block, from the row's own counter-based generator."""
    blocks = online.encoder.num_blocks
    rows = [np.random.Generator(np.random.Philox(key=int(s))).random(blocks, np.float32) for s in batch.seed_b.tolist()]
    return torch.from_numpy(np.stack(rows)).to(batch.frames_b2hwc.device)


def _finish_gradients(state: TrainState, sums: _Sums, loss: float, good_rows: float) -> tuple[float, str | None]:
    """Unscale the gradients, divide them by the true count of rows, and clip them.

    Returns their norm before clipping, and why the step must be skipped (None: it need not).
    """
    if good_rows == 0:
        return 0.0, "no_valid_row"
    parameters = [p for p in state.online.parameters() if p.grad is not None]
    gradients = [p.grad for p in parameters if p.grad is not None]
    state.scaler.unscale_(state.optimizer)
    if good_rows != state.extent.batch_size:
        for gradient in gradients:
            gradient.mul_(state.extent.batch_size / good_rows)
    norm = torch.nn.utils.get_total_norm(gradients)
    skipped = _reason_to_skip(state, sums, loss, norm.item())
    if skipped is None and state.settings.optim.clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, state.settings.optim.clip_norm, norm)
    return norm.item(), skipped


def _reason_to_skip(state: TrainState, sums: _Sums, loss: float, norm: float) -> str | None:
    """Return None for a healthy step. All workers see the same numbers and decide alike."""
    train = state.settings.train
    if math.isfinite(loss) and loss <= train.max_loss:
        if math.isfinite(norm):
            return None
        if state.scaler.is_enabled():  # the scaled gradients overflowed
            return "scaler"
    if train.nonfinite == "skip":
        return "nonfinite"
    raise TrainingError(
        f"step {state.step + 1}: loss {loss:g}, gradient norm {norm:g} (train.max_loss is {train.max_loss:g}); "
        f"keys: {', '.join(_suspects(sums))}; lower optim.blr, set optim.clip_norm, look at these clips, "
        "or set train.nonfinite=skip"
    )


def _suspects(sums: _Sums, most: int = 8) -> list[str]:
    """Return the keys of all workers whose own loss is not finite, or all keys of the step if every loss is finite."""
    mine = [
        (key, math.isfinite(loss))
        for batch, loss_b in sums.rows
        for key, loss in zip(batch.keys, loss_b.tolist(), strict=True)
        if key
    ]
    everyone = [mine]
    if dist.is_initialized():
        everyone = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(everyone, mine)
    rows = list(itertools.chain.from_iterable(everyone))
    keys = list(dict.fromkeys([key for key, finite in rows if not finite] or [key for key, _ in rows]))
    return keys[:most] + ([f"and {len(keys) - most} more"] if len(keys) > most else [])


def _update(state: TrainState, sums: _Sums) -> None:
    """Update the online network and its optimizer, then the target network."""
    state.scaler.step(state.optimizer)
    state.scaler.update()
    in_micro_steps = state.settings.optim.ema_every == "micro_step"
    _update_target(state, sums, state.extent.micro_steps - 1 if in_micro_steps else 0)


def _undo(state: TrainState, statistics: list[Tensor], skipped: str) -> None:
    """Leave the networks as they were: no weight has changed, but BatchNorm's running statistics have.

    The gradient scaler learns of the step, and halves its scale if the gradients overflowed.
    """
    if state.scaler.is_enabled() and skipped != "no_valid_row":
        state.scaler.update()
    for buffer, before in zip(state.online.buffers(), statistics, strict=True):
        buffer.copy_(before)


def _update_target(state: TrainState, sums: _Sums, micro_step: int) -> None:
    """Move the target network towards the online one, with the momentum at this micro-step."""
    average_running_statistics(state.online, _good_rows(sums))
    ahead = micro_step * state.extent.batch_size // state.extent.micro_steps
    ema.update(state.target, state.online, state.momentum(ahead))


def _good_rows(sums: _Sums) -> float:
    """Return this worker's good rows in the step so far."""
    return sum(float(batch.weight_b.sum()) for batch, _ in sums.rows)


@torch.no_grad()
def average_running_statistics(online: nn.Module, good_rows: float) -> None:
    """Average BatchNorm's running means and variances over workers, so that the target network is the same everywhere.

    Workers are weighted by their valid sites, hence by their good rows: every row has the same number of sites.
    """
    buffers = [b for b in online.buffers() if b.is_floating_point()]
    if not buffers or not dist.is_initialized():
        return
    weighted = torch.cat(
        [b.flatten() * good_rows for b in buffers] + [torch.full_like(buffers[0].flatten()[:1], good_rows)]
    )
    dist.all_reduce(weighted)
    if weighted[-1] == 0:
        return
    means = (weighted[:-1] / weighted[-1]).split([b.numel() for b in buffers])
    for buffer, mean in zip(buffers, means, strict=True):
        buffer.copy_(mean.view_as(buffer))


def _advance(state: TrainState, good_rows: float, skipped: str | None) -> None:
    rows = min(state.extent.batch_size, state.extent.rows_in_run - state.rows_used)
    state.step += 1
    state.rows_used += state.extent.batch_size
    state.bad_rows += rows - round(good_rows)
    state.skipped_steps += skipped is not None
    if skipped != "no_valid_row":
        state.skipped_in_a_row = state.skipped_in_a_row + 1 if skipped else 0
    if state.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
        raise TrainingError(
            f"step {state.step}: {state.skipped_in_a_row} steps in a row were skipped ({skipped}): the run no longer "
            "learns; lower optim.blr, set optim.clip_norm, or go back to an earlier checkpoint"
        )
