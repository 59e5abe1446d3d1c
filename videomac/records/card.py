"""`card.json`: what the weights beside it are, where they come from, and how they were checked."""

from __future__ import annotations

from typing import Any

import pydantic

from videomac.records.base import Record

CARD, WEIGHTS = "card.json", "model.safetensors"
"""The files of an export; the card is written last and marks the folder as one."""


class Checked(Record, extra="ignore"):
    """How an export was checked: loaded as a user would, its features compared with the trained network's."""

    loaded_by: str
    """What loaded the weights."""
    largest_relative_difference: float
    """Largest difference of a stage's features, relative to that stage's largest value."""
    tolerance: float
    """Largest difference that is accepted."""
    image: tuple[int, ...]
    """Height and width of the image."""


class Card(Record, extra="ignore"):
    """`card.json` of an export. Only the first five fields are needed to load it."""

    architecture: str
    """timm name of the network."""
    variant: str
    """`standard` (timm's network) or `paper`."""
    mean: tuple[float, ...]
    """Mean of each channel that the network takes frames with."""
    std: tuple[float, ...]
    """Standard deviation of each channel that the network takes frames with."""
    weights_sha256: str
    """SHA-256 of `model.safetensors`."""
    timm: dict[str, Any] | None = None
    """Arguments of `timm.create_model`; null for a `paper` network, which timm does not have."""
    encoder: dict[str, Any] | None = None
    """`name`, `variant` and `grn` of `model.encoder`, from which our own dense network is built."""
    cell: int | None = None
    """Pixels of a mask cell's side."""
    strides: tuple[int, ...] = ()
    """Pixels between two sites, by stage."""
    dims: tuple[int, ...] = ()
    """Channels by stage."""
    run: str | None = None
    """Name of the run."""
    step: int | None = None
    """Step of the checkpoint."""
    rows_used: int | None = None
    """Rows of the plan that the weights were trained on."""
    config_hash: str | None = None
    """Hash of the run's configuration."""
    manifest_sha256: str | None = None
    """SHA-256 of the shards' manifest."""
    commit: str | None = None
    """Commit of the code that trained."""
    versions: dict[str, str] = pydantic.Field(default_factory=dict)
    """Versions of the packages that trained."""
    untrained: str | None = None
    """Weights that pretraining does not train."""
    checked: Checked | None = None
    """How the export was checked."""
