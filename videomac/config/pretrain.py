"""Keys of a pretraining run."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section
from videomac.config.data import Data
from videomac.config.evaluate import Probe
from videomac.config.model import Model


class Run(Section):
    """Who the run is: the same name and storage resume the same run."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Folder of the run below `storage`; never derived from a clock, so that a resubmitted job resumes."""
    storage: str = "runs"
    """Local folder (shared between nodes) or `s3://` prefix."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of everything random."""


class Optim(Section):
    """AdamW, its schedule, and the EMA of the target network."""

    blr: float = pydantic.Field(default=1e-3, gt=0)
    """Base learning rate: lr = blr * batch_size / 256."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's betas."""
    weight_decay: float = pydantic.Field(default=0.05, ge=0)
    """On matrices and kernels; none on biases, norms and the mask token."""
    warmup_share: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Share of the run's rows with a linearly rising learning rate; a cosine to 0 follows."""
    clip_norm: float | None = pydantic.Field(default=None, gt=0)
    """Largest gradient norm; null: no clipping."""
    ema_momentum: tuple[float, float] = (0.996, 1.0)
    """EMA momentum at the run's begin and end; a cosine between."""
    ema_schedule: Literal["run", "epoch_restart"] = "run"
    """`run`: over the run; `epoch_restart`: indexed by the step inside the epoch, as the published code does."""
    ema_every: Literal["step", "micro_step"] = "step"
    """EMA update after each optimiser step, or after each micro-step as the published code does."""

    @pydantic.model_validator(mode="after")
    def _momentum(self) -> Optim:
        if not all(0 <= m <= 1 for m in self.ema_momentum):
            raise ValueError(f"ema_momentum: expected two values in 0..1, got {self.ema_momentum}")
        return self


class Train(Section):
    """How much, how wide, how precise."""

    batch_size: int = pydantic.Field(default=256, ge=1)
    """Effective batch E: pairs in one optimiser update, over all workers and micro-steps."""
    batch_scaling: Literal["keep", "per_worker"] = "keep"
    """With fewer or more workers than `workers.count`: keep E, or scale it (and the learning rate) by their number."""
    micro_batch: int = pydantic.Field(default=32, ge=1)
    """Pairs that one worker computes at a time; a step takes ceil(E / (workers * micro_batch)) micro-steps."""
    steps: int | None = pydantic.Field(default=None, ge=1)
    """Optimiser updates in the run; give this or `epochs`."""
    epochs: float | None = pydantic.Field(default=None, gt=0)
    """Passes over the plan's rows; give this or `steps`."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast type; fp16 brings a gradient scaler."""
    matmul_precision: Literal["highest", "high", "medium"] = "high"
    """`torch.set_float32_matmul_precision`."""
    compile: bool = False
    """`torch.compile` the online and target networks."""
    channels_last: bool = False
    """Dense convolutions in channels_last memory format."""
    sync_batchnorm: bool = False
    """Stock ResNets: batch statistics over all workers."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """On a NaN or infinite loss or gradient: stop the run, or skip the step and count it."""
    max_loss: float = pydantic.Field(default=1e3, gt=0)
    """A loss above this counts as non-finite."""

    @pydantic.model_validator(mode="after")
    def _length(self) -> Train:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of train.steps and train.epochs")
        return self


class Workers(Section):
    """What Ray Train is asked for."""

    count: int = pydantic.Field(default=1, ge=1)
    """Training workers; one GPU each with `gpu`."""
    gpu: bool = False
    """One GPU per worker with NCCL; otherwise CPU with gloo."""
    cpus: float = pydantic.Field(default=1.0, gt=0)
    """CPUs that Ray books per worker."""
    threads: int = pydantic.Field(default=0, ge=0)
    """torch threads per worker; 0: the booked CPUs, at least 1."""
    min_count: int | None = pydantic.Field(default=None, ge=1)
    """Go on with as few workers as this when nodes are lost; null: wait for `count`."""
    max_failures: int = pydantic.Field(default=3, ge=0)
    """Restarts after lost workers before the run ends with an error."""
    start_timeout_s: float = pydantic.Field(default=120.0, gt=0)
    """Error when no worker lived for so long: at the start, or after workers or nodes were lost."""
    collective_timeout_s: float = pydantic.Field(default=300.0, gt=0)
    """Error when a worker does not reach a collective within this time."""


class Checkpoint(Section):
    """When everything is written, and what is kept."""

    every_steps: int = pydantic.Field(default=500, ge=1)
    """Steps between checkpoints; one more comes at the end."""
    keep: int = pydantic.Field(default=3, ge=2)
    """Newest checkpoints kept, beside the best-scored."""


class Log(Section):
    """What is seen of a run."""

    every_steps: int = pydantic.Field(default=10, ge=1)
    """Steps between lines of metrics.jsonl."""
    pictures_every_steps: int = pydantic.Field(default=0, ge=0)
    """Steps between reconstruction pictures; 0: at checkpoints."""
    picture_pairs: int = pydantic.Field(default=4, ge=1)
    """Pairs in one file of reconstruction pictures."""
    held_out_every_steps: int = pydantic.Field(default=0, ge=0)
    """Steps between losses on the validation split; 0: never."""
    held_out_pairs: int = pydantic.Field(default=64, ge=1)
    """Pairs of the validation split that are scored."""
    writers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)
    """Where metrics go beside metrics.jsonl."""


class Pretrain(Section):
    """`videomac pretrain`: one pretraining run."""

    run: Run
    data: Data
    model: Model = Model()
    optim: Optim = Optim()
    train: Train
    workers: Workers = Workers()
    checkpoint: Checkpoint = Checkpoint()
    log: Log = Log()
    probe: Probe | None = None
    """Label propagation on a few clips beside the training; null: none."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Pretrain:
        height, width = self.data.image_size
        cell, ratio = self.model.cell, self.model.mask_ratio
        if height % cell or width % cell:
            raise ValueError(f"data.image_size: {height}x{width} is no multiple of model.cell = {cell}")
        cells = (height // cell) * (width // cell)
        keep = int(cells * (1 - ratio))
        if keep < 1 or keep == cells:
            raise ValueError(
                f"model.mask_ratio: {ratio} of {cells} cells keeps int({cells} * (1 - {ratio})) = {keep} visible; "
                f"expected 1..{cells - 1}"
            )
        opened = self.data.pairs_per_open
        if self.train.batch_size % opened or self.train.micro_batch % opened:
            raise ValueError(
                f"data.pairs_per_open: {opened} must divide train.batch_size = {self.train.batch_size} "
                f"and train.micro_batch = {self.train.micro_batch}"
            )
        return self
