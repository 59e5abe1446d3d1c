"""Keys of a pretraining run."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section, blamed_on
from videomac.config.data import Data
from videomac.config.evaluate import Evaluate, Probe
from videomac.config.messages import BadValueError
from videomac.config.model import Model
from videomac.config.places import OutputPlace
from videomac.facts.grid import grid_of, visible_count
from videomac.facts.networks import check_stage

RULES_ACROSS_KEYS: tuple[tuple[str, ...], ...] = (
    ("data.image_size", "model.cell", "model.mask_ratio"),
    ("data.pairs_per_open", "train.batch_size"),
    ("data.pairs_per_open", "train.micro_batch"),
    ("data.pairs_per_open", "data.pair_sampling"),
    ("model.encoder.name", "model.encoder.variant"),
    ("model.encoder.variant", "model.cell", "probe.evaluate.stage", "probe.evaluate.stride_reduction"),
    ("train.steps", "train.epochs"),
    ("workers.count", "workers.min_count"),
)
"""Keys whose values are checked against each other: a sweep tries the combinations of these, not of all keys."""


class Run(Section):
    """Identity of the run: the same name and storage resume the same run."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run's folder below `storage`; never taken from a clock, so that a resubmitted job resumes."""
    storage: OutputPlace = "runs"
    """Folder that all nodes share, or `s3://` prefix (access: AWS_* environment); absolute in a submitted job."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of everything that is random."""


class Optim(Section):
    """AdamW, its schedule, and the EMA of the target network."""

    blr: float = pydantic.Field(default=1e-3, gt=0)
    """Base learning rate: lr = blr * batch_size / 256."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's betas."""
    weight_decay: float = pydantic.Field(default=0.05, ge=0)
    """Weight decay of matrices and kernels; biases, norms and the mask token have none."""
    warmup_share: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Share of the run's rows over which the learning rate rises linearly; a cosine to 0 follows."""
    clip_norm: float | None = pydantic.Field(default=None, gt=0)
    """Clip gradients to this norm; null: no clipping."""
    ema_momentum: tuple[float, float] = (0.996, 1.0)
    """EMA momentum at the start and at the end of the run, with a cosine schedule between them."""
    ema_schedule: Literal["run", "epoch_restart"] = "run"
    """`run`: one cosine over the run; `epoch_restart`: indexed by the step within the epoch, as published."""
    ema_every: Literal["step", "micro_step"] = "step"
    """Update the EMA after each step, or after each micro-step as the published code does."""

    @pydantic.model_validator(mode="after")
    def _in_range(self) -> Optim:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise BadValueError("betas", f"expected two values from 0 to below 1, got {list(self.betas)}")
        if not all(0 <= m <= 1 for m in self.ema_momentum):
            raise BadValueError("ema_momentum", f"expected two values from 0 to 1, got {list(self.ema_momentum)}")
        return self


class Train(Section):
    """Length, batch and precision of the run."""

    batch_size: int = pydantic.Field(default=256, ge=1)
    """Effective batch E: pairs in one step, over all workers and micro-steps."""
    batch_scaling: Literal["keep", "per_worker"] = "keep"
    """With fewer workers than `workers.count`: keep E, or scale it, and the learning rate, with their number."""
    micro_batch: int = pydantic.Field(default=32, ge=1)
    """Pairs that one worker computes at a time; a step takes ceil(E / (workers * micro_batch)) micro-steps."""
    steps: int | None = pydantic.Field(default=None, ge=1)
    """Steps of the run; give this or `epochs`."""
    epochs: float | None = pydantic.Field(default=None, gt=0)
    """Passes over the data; give this or `steps`."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast type; fp16 adds a gradient scaler."""
    matmul_precision: Literal["highest", "high", "medium"] = "high"
    """Argument of `torch.set_float32_matmul_precision`."""
    compile: bool = False
    """`torch.compile` the online and target networks."""
    channels_last: bool = False
    """Run dense convolutions in the channels_last memory format."""
    sync_batchnorm: bool = False
    """`standard` ResNets: take batch statistics over all workers."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """If a loss or gradient is NaN or infinite: stop the run, or skip the step and count it."""
    max_loss: float = pydantic.Field(default=1e3, gt=0)
    """Treat a loss above this as non-finite."""

    @pydantic.model_validator(mode="after")
    def _length(self) -> Train:
        if (self.steps is None) == (self.epochs is None):
            both = "neither is" if self.steps is None else "both are"
            raise BadValueError("", f"give exactly one of steps and epochs; {both} set")
        return self


class Workers(Section):
    """Workers that Ray Train is asked for."""

    count: int = pydantic.Field(default=1, ge=1)
    """Training workers."""
    gpu: bool = False
    """Give each worker one GPU and use NCCL; otherwise train on CPUs and use gloo."""
    cpus: float = pydantic.Field(default=1.0, gt=0)
    """CPUs that Ray books for each worker."""
    threads: int = pydantic.Field(default=0, ge=0)
    """Threads of torch in each worker; 0: the booked CPUs, at least 1."""
    min_count: int | None = pydantic.Field(default=None, ge=1)
    """Go on with this many workers or more when nodes are lost; null: wait for `count`."""
    max_failures: int = pydantic.Field(default=3, ge=0)
    """Fail after this many restarts for lost workers."""
    start_timeout_s: float = pydantic.Field(default=120.0, gt=0)
    """Fail if no worker has been alive for this long, in seconds: at the start, or after workers or nodes were lost."""
    collective_timeout_s: float = pydantic.Field(default=300.0, gt=0)
    """Fail if a worker does not reach a collective operation within this time, in seconds."""

    @pydantic.model_validator(mode="after")
    def _elastic(self) -> Workers:
        if self.min_count is not None and self.min_count > self.count:
            raise BadValueError("min_count", f"{self.min_count} is more than count = {self.count}; expected 1 to count")
        return self


class Checkpoint(Section):
    """When checkpoints are written, and which are kept."""

    every_steps: int = pydantic.Field(default=500, ge=1)
    """Steps from one checkpoint to the next; the end of the run adds one."""
    keep: int = pydantic.Field(default=3, ge=2)
    """Keep this many of the newest checkpoints, and the one with the best probe score."""


class Log(Section):
    """What a run shows of itself."""

    every_steps: int = pydantic.Field(default=10, ge=1)
    """Steps from one line of metrics.jsonl to the next."""
    pictures_every_steps: int = pydantic.Field(default=0, ge=0)
    """Steps from one set of reconstruction pictures to the next; 0: draw them at checkpoints."""
    picture_pairs: int = pydantic.Field(default=4, ge=1)
    """Pairs in one set of reconstruction pictures."""
    held_out_every_steps: int = pydantic.Field(default=0, ge=0)
    """Steps from one loss on the validation split to the next; 0: never."""
    held_out_pairs: int = pydantic.Field(default=64, ge=1)
    """Pairs of the validation split in that loss."""
    writers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)
    """Where metrics go besides metrics.jsonl."""


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
    """Label propagation on a few clips while training goes on; null: none."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Pretrain:
        with blamed_on("data.image_size"):
            rows, columns = grid_of(*self.data.image_size, self.model.cell)
        with blamed_on("model.mask_ratio"):
            visible_count(rows * columns, self.model.mask_ratio)
        opened, train = self.data.pairs_per_open, self.train
        if train.batch_size % opened or train.micro_batch % opened:
            raise BadValueError(
                "data.pairs_per_open",
                f"{opened} must divide train.batch_size = {train.batch_size} and train.micro_batch = "
                f"{train.micro_batch}",
            )
        if self.probe is not None:
            check_scored(self.model, self.probe.evaluate, "probe.evaluate")
        return self


def check_scored(model: Model, evaluate: Evaluate, key: str) -> None:
    """Check that the features which an evaluation asks for exist in the network that is pretrained.

    Raises:
        BadValueError: they do not; blames the stage of `key`.
    """
    encoder = model.encoder
    with blamed_on(f"{key}.stage"):
        check_stage(encoder.name, evaluate.stage, encoder.variant, evaluate.stride_reduction, model.cell)
