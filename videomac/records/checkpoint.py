"""The JSON files of a checkpoint, and of the probe that scores it."""

from __future__ import annotations

from typing import Any

import pydantic

from videomac.records.base import Record
from videomac.records.provenance import MadeWith

FORMAT = 1
"""Version of the layout of a checkpoint's files."""


class DataFacts(Record):
    """What a checkpoint must remember of the data beside the configuration."""

    model_config = pydantic.ConfigDict(extra="ignore")

    manifest_sha256: str | None = None
    """Digest of the shards' manifest."""
    decoder: str | None = None
    """Name and version of the decoder."""
    verdicts: dict[str, int] = {}
    """Clips that are known to crash or stall the decoder: key to status code."""


class CheckpointState(DataFacts, MadeWith):
    """`state.json`: the position, the counters, and what the run is made with. Keys of other versions are ignored."""

    step: int
    """Steps done."""
    rows_used: int
    """Rows of the plan used; the data position, the learning rate and the EMA momentum follow from it."""
    bad_rows: int
    """Bad rows among them."""
    skipped_steps: int
    """Steps without an update."""
    optimizer_steps: float
    """Updates that AdamW has made."""
    scaler: dict[str, int | float] = {}
    """State of the gradient scaler; empty unless `train.precision` is fp16."""
    batch_size: int
    """Effective batch of the attempt that wrote it."""
    micro_steps: int
    """Micro-steps of a step in that attempt."""
    config: dict[str, Any]
    """The resolved configuration (`videomac.config.Pretrain` as plain values): it may be of an older version."""


class CheckpointFiles(Record):
    """`files.json`, written last: a folder without it, or with different content, is not a checkpoint."""

    format: int
    """Version of the layout of the files."""
    sha256: dict[str, str]
    """SHA-256 of each other file."""


class ProbeResult(Record):
    """`probes/step_0000100.json`: what a probe found on that checkpoint."""

    model_config = pydantic.ConfigDict(extra="ignore")

    scores: dict[str, float]
    """Scores by name, such as `J&F-Mean`."""
    seconds: float = 0.0
    """Seconds that the probe took."""


class BestCheckpoint(Record):
    """`best/best.json`: the checkpoint in `best/`."""

    model_config = pydantic.ConfigDict(extra="ignore")

    name: str
    """Name of its folder in `best/`."""
    score: float
    """Its headline score."""
