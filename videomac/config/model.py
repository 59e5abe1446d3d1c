"""Keys of the networks and of the masking."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section


class Encoder(Section):
    """The sparse ConvNet that is pretrained."""

    name: str = "convnextv2_tiny"
    """timm's name of the network; `videomac.nn.networks.registry` lists what is known."""
    variant: Literal["standard", "paper"] = "standard"
    """`standard`: exactly timm's network; `paper`: the published code's (in-line norms, patchify ResNets)."""
    backend: Literal["packed", "masked", "minkowski"] = "packed"
    """How it is computed; equal results: `masked` is the slow reference, `minkowski` an extra."""
    grn: Literal["image", "batch"] | None = None
    """Population of the GRN's norm; null: `image` for standard, `batch` for paper (as the published code does)."""
    drop_path: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Stochastic depth rate of the last block; earlier blocks rise to it linearly."""
    gradient_checkpointing: bool = False
    """Recompute each block in the backward pass: less memory, about a third more time."""
    init: str | None = None
    """Weights to start from: a timm safetensors/pth file, an export, a checkpoint of ours or of the published code."""


class Model(Section):
    """Online and target networks."""

    encoder: Encoder = Encoder()
    cell: Literal[16, 32] = 32
    """Side of a mask cell in pixels; 16 drops the stride of the last stage."""
    mask_ratio: float = pydantic.Field(default=0.75, gt=0, lt=1)
    """Share of the cells that is hidden; int(cells * (1 - mask_ratio)) stay visible."""
    decoder_dim: int = pydantic.Field(default=512, ge=1)
    """Channels of the decoder."""
    decoder_depth: int = pydantic.Field(default=1, ge=0)
    """Dense ConvNeXt V2 blocks of the decoder."""
    gamma: float = pydantic.Field(default=1.0, ge=0)
    """Weight of the reconstruction consistency between the two frames."""
    norm_target: bool = True
    """Normalise each target cell by its own mean and variance."""
