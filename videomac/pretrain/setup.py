"""Builds the state that training starts with from a configuration."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from videomac import config
from videomac.config import Pretrain
from videomac.facts.grid import grid_of, visible_count
from videomac.nn.batchnorm import sync_batchnorm
from videomac.pretrain import ema
from videomac.pretrain.model import MaskedAutoencoder, build_model
from videomac.pretrain.optim import build_optimizer
from videomac.pretrain.schedules import peak_learning_rate
from videomac.pretrain.step import Extent, TrainState


def effective_batch(train: config.Train, workers: config.Workers, world: int, pairs_per_open: int) -> int:
    """Return the rows of one step: `train.batch_size`, scaled by the workers with `batch_scaling: per_worker`."""
    if train.batch_scaling == "keep" or world == workers.count:
        return train.batch_size
    scaled = train.batch_size * world / workers.count
    return max(1, round(scaled / pairs_per_open)) * pairs_per_open


def derive_extent(settings: Pretrain, rows_in_epoch: int, world: int) -> Extent:
    """Return everything that follows from the configuration, the data and the number of workers."""
    train, data = settings.train, settings.data
    rows = train.steps * train.batch_size if train.steps else math.ceil((train.epochs or 0) * rows_in_epoch)
    rows_in_run = math.ceil(rows / train.batch_size) * train.batch_size
    batch = effective_batch(train, settings.workers, world, data.pairs_per_open)
    rows_down, rows_across = grid_of(*data.image_size, settings.model.cell)
    cells = rows_down * rows_across
    return Extent(
        batch_size=batch,
        micro_steps=math.ceil(batch / (world * train.micro_batch)),
        rows_in_run=rows_in_run,
        rows_in_epoch=rows_in_epoch,
        masked_cells=cells - visible_count(cells, settings.model.mask_ratio),
        world=world,
    )


def describe_extent(settings: Pretrain, extent: Extent) -> str:
    """Return the derived numbers in one line, for people."""
    peak = peak_learning_rate(settings.optim.blr, extent.batch_size)
    start, end = settings.optim.ema_momentum
    return (
        f"{extent.rows_in_run} pairs ({extent.rows_in_run / extent.rows_in_epoch:.2f} epochs) in {extent.steps} steps "
        f"of {extent.batch_size}, {extent.world} workers x {settings.train.micro_batch} pairs x {extent.micro_steps} "
        f"micro-steps; lr {peak:.3g} after {settings.optim.warmup_share:.0%} warm-up; momentum {start:g} to {end:g}"
    )


def build_state(settings: Pretrain, extent: Extent, device: torch.device, fresh: bool = True) -> TrainState:
    """Build networks, optimizer and scaler, the same on every worker; starts from `model.encoder.init` if it is set.

    If not `fresh`, a checkpoint is loaded next, and `init` need not exist any more.

    Raises:
        CheckpointError: the weights of `init` do not fit the network.
    """
    torch.set_float32_matmul_precision(settings.train.matmul_precision)
    online = build_model(settings.model, settings.run.seed)
    if fresh and settings.model.encoder.init is not None:
        from videomac.pretrain.init import load_initial_weights  # here: timm takes seconds to import

        load_initial_weights(online, settings.model.encoder.init)
    online = _placed(online, settings.train, device)
    target = ema.make_target(online)
    if settings.train.compile:
        online.compile()
        target.compile()
    return TrainState(
        settings=settings,
        extent=extent,
        online=online,
        target=target,
        wrapped=_distributed(online, device),
        optimizer=build_optimizer(online, settings.optim),
        scaler=torch.amp.GradScaler(device.type, enabled=settings.train.precision == "fp16"),
        device=device,
    )


def _placed(online: MaskedAutoencoder, train: config.Train, device: torch.device) -> MaskedAutoencoder:
    online = online.to(device)
    if train.channels_last:
        online = online.to(memory_format=torch.channels_last)
    if train.sync_batchnorm:
        sync_batchnorm(online)
    return online.train()


def _distributed(online: MaskedAutoencoder, device: torch.device) -> nn.Module:
    """Wrap the online network alone in DDP, unless there is one worker. The step averages running statistics itself."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return online
    return DistributedDataParallel(
        online,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )
