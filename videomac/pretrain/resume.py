"""What may change between two attempts of a run, and what makes it another run (docs/design/resume.md)."""

from __future__ import annotations

from typing import Any

import yaml

from videomac.config import Pretrain, differing_keys, filled
from videomac.errors import CheckpointError, ConfigError
from videomac.pretrain.step import TrainState
from videomac.records.checkpoint import CheckpointState, DataFacts
from videomac.storage.run_folder import RunFolder

OPERATIONAL: dict[str, tuple[str, ...]] = {
    "run": ("name", "storage"),
    "data": (
        "manifest", "storage_options", "decoder", "allow_decoder_change", "bounds", "max_bad_share", "actors",
        "cpus_per_actor", "block_steps", "window_blocks", "prefetch_batches", "object_store_mb", "start_timeout_s",
        "stall_timeout_s", "io_timeout_s", "read_ahead_mb",
    ),
    "train": ("micro_batch", "batch_scaling", "matmul_precision", "compile", "channels_last", "nonfinite", "max_loss"),
    "workers": (), "checkpoint": (), "log": (), "probe": (),
}  # fmt: skip
"""Sections and keys that don't change what is learned, beyond rounding; no keys: the whole section. The manifest is
held by its content, the decoder by name and version."""


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """The resolved configuration without its operational keys: what makes two runs the same run."""
    kept = {}
    for section, values in config.items():
        if section not in OPERATIONAL:
            kept[section] = values
        elif OPERATIONAL[section]:
            kept[section] = {key: value for key, value in values.items() if key not in OPERATIONAL[section]}
    return kept


def refuse_other_config(folder: RunFolder, settings: Pretrain) -> bool:
    """Whether the run folder holds this run already.

    Raises:
        ConfigError: it holds a run with other keys; the message lists them.
    """
    existing = folder.read("config.yaml")
    if existing is None:
        return False
    refuse_other_run(folder.url, yaml.safe_load(existing), settings)
    return True


def refuse_other_run(place: str, config: dict[str, Any], settings: Pretrain) -> None:
    """Raises ConfigError with the differing keys if `config` is not the same run as `settings`."""
    before = filled(Pretrain, config)  # what an older version wrote lacks the keys that came since
    differing = differing_keys(identity(before), identity(settings.plain()))
    if differing:
        raise ConfigError(
            f"{place} holds a run with another configuration: {'; '.join(differing)}; "
            "take those values back, or choose another run.name"
        )


def check_resumable(state: TrainState, saved: CheckpointState, facts: DataFacts) -> None:
    """Looks at what the configuration alone doesn't tell: `saved` is the checkpoint's state.json, `facts` the present.

    Raises:
        CheckpointError: other shards, another decoder without `data.allow_decoder_change`, or another number of
            micro-steps where the EMA follows them.
    """
    refuse_other_run("the checkpoint", saved.config, state.settings)
    if saved.manifest_sha256 != facts.manifest_sha256:
        raise CheckpointError(
            f"data.manifest: the run began with shards {saved.manifest_sha256}, "
            f"{state.settings.data.manifest} is {facts.manifest_sha256}; give the first ones, or another run.name"
        )
    if saved.decoder != facts.decoder and not state.settings.data.allow_decoder_change:
        raise CheckpointError(
            f"data.decoder: the run began with {saved.decoder}, now it is {facts.decoder}: frames may differ "
            "by rounding; set data.allow_decoder_change=true to go on"
        )
    if state.settings.optim.ema_every == "micro_step" and saved.micro_steps != state.extent.micro_steps:
        raise CheckpointError(
            f"optim.ema_every=micro_step: the run began with {saved.micro_steps} micro-steps a step, now there would"
            f" be {state.extent.micro_steps}: the target would follow at another pace; "
            "keep the product of workers.count and train.micro_batch"
        )
