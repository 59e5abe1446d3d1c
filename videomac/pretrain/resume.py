"""What may change between two attempts of a run, and what makes it a different run (docs/design/resume.md)."""

from __future__ import annotations

import yaml

from videomac.config import Pretrain, Tree, differing_keys, filled
from videomac.errors import CheckpointError, ConfigError
from videomac.pretrain.step import TrainState
from videomac.records.checkpoint import CheckpointState, DataFacts
from videomac.storage.run_folder import RunFolder

OPERATIONAL: dict[str, tuple[str, ...]] = {
    "run": ("name", "storage"),
    "data": (
        "manifest", "storage_options", "decoder", "allow_decoder_change", "bounds", "max_bad_share", "actors",
        "cpus_per_actor", "block_steps", "window_blocks", "prefetch_batches", "object_store_mb", "start_timeout_s",
        "stall_timeout_s", "io_timeout_s", "read_ahead_mb", "index_cache", "index_cache_mb",
    ),
    "train": ("micro_batch", "batch_scaling", "matmul_precision", "compile", "channels_last", "nonfinite", "max_loss"),
    "workers": (), "checkpoint": (), "log": (), "probe": (),
}  # fmt: skip
"""Sections and keys that don't change what is learned beyond rounding; without keys, the whole section. The manifest is
compared by its content, the decoder by name and version."""


def identity(config: Tree) -> Tree:
    """Return the resolved configuration without its operational keys: runs that share it are the same run."""
    kept = {}
    for section, values in config.items():
        if section not in OPERATIONAL:
            kept[section] = values
        elif OPERATIONAL[section]:
            kept[section] = {key: value for key, value in values.items() if key not in OPERATIONAL[section]}
    return kept


def refuse_other_config(folder: RunFolder, settings: Pretrain) -> bool:
    """Return whether the run folder holds this run already.

    Raises:
        ConfigError: it holds a different run; the message lists the keys.
    """
    existing = folder.read("config.yaml")
    if existing is None:
        return False
    refuse_other_run(folder.url, yaml.safe_load(existing), settings)
    return True


def refuse_other_run(place: str, config: Tree, settings: Pretrain) -> None:
    """Raise ConfigError with the differing keys if `config` is not the same run as `settings`."""
    before = filled(Pretrain, config)  # what an older version wrote lacks the keys that came since
    differing = differing_keys(identity(before), identity(settings.plain()))
    if differing:
        raise ConfigError(
            f"{place} holds a run with a different configuration: {'; '.join(differing)}; "
            "restore those values, or choose another run.name"
        )


def check_resumable(state: TrainState, saved: CheckpointState, facts: DataFacts) -> None:
    """Refuse to resume from `saved`, the checkpoint's state, if the present data (`facts`) or pace of the EMA differ.

    Raises:
        CheckpointError: different shards, a different decoder without `data.allow_decoder_change`, or a different
            number of micro-steps where the EMA follows them.
    """
    refuse_other_run("the checkpoint", saved.config, state.settings)
    if saved.manifest_sha256 != facts.manifest_sha256:
        raise CheckpointError(
            f"data.manifest: the run started with shards {saved.manifest_sha256}, but "
            f"{state.settings.data.manifest} is {facts.manifest_sha256}; give the manifest of those shards, or choose "
            "another run.name"
        )
    if saved.decoder != facts.decoder and not state.settings.data.allow_decoder_change:
        raise CheckpointError(
            f"data.decoder: the run started with {saved.decoder}, now it is {facts.decoder}: frames may differ by "
            "rounding; set data.allow_decoder_change=true to resume with it"
        )
    if state.settings.optim.ema_every == "micro_step" and saved.micro_steps != state.extent.micro_steps:
        raise CheckpointError(
            f"optim.ema_every=micro_step: the run started with {saved.micro_steps} micro-steps per step, now there "
            f"would be {state.extent.micro_steps}, and the target network would follow at a different pace; "
            "keep the product of workers.count and train.micro_batch"
        )
