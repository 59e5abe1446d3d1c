"""Keys of the networks and of the masking."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section, blamed_on
from videomac.config.places import InputPlace
from videomac.facts.networks import find_size


class Encoder(Section):
    """The sparse ConvNet that is pretrained."""

    name: str = "convnextv2_tiny"
    """timm's name of the network: one of `videomac.facts.networks.SIZES`."""
    variant: Literal["standard", "paper"] = "standard"
    """`standard`: exactly timm's network; `paper`: the published code's (in-line norms, patchify stems)."""
    backend: Literal["packed", "masked", "minkowski"] = "packed"
    """How it is computed, with equal results: `masked` is the slow reference, `minkowski` is an extra."""
    grn: Literal["image", "batch"] | None = None
    """Population of the GRN's norm; null: `image` for standard, `batch` for paper, as in the published code."""
    drop_path: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block; the rate rises to it linearly from the first block."""
    gradient_checkpointing: bool = False
    """Recompute each block in the backward pass: less memory for about a third more time."""
    init: InputPlace | None = None
    """Weights to start from: a timm safetensors or pth file, an export, or a checkpoint of ours or of the published
    code."""

    @pydantic.field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        with blamed_on(""):
            find_size(name, "standard")
        return name

    @pydantic.model_validator(mode="after")
    def _was_published(self) -> Encoder:
        with blamed_on("variant"):
            find_size(self.name, self.variant)
        return self


class Model(Section):
    """Online and target networks."""

    encoder: Encoder = Encoder()
    cell: Literal[16, 32] = 32
    """Side of a mask cell in pixels; with 16 the last stage keeps the stride of the stage before it."""
    mask_ratio: float = pydantic.Field(default=0.75, gt=0, lt=1)
    """Share of the cells that are hidden; int(cells * (1 - mask_ratio)) stay visible."""
    decoder_dim: int = pydantic.Field(default=512, ge=1)
    """Channels of the decoder."""
    decoder_depth: int = pydantic.Field(default=1, ge=0)
    """Dense ConvNeXt V2 blocks of the decoder."""
    gamma: float = pydantic.Field(default=1.0, ge=0)
    """Weight of the reconstruction consistency between the two frames."""
    norm_target: bool = True
    """Normalise each target cell by its own mean and variance."""
