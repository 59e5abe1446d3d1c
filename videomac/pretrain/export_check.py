"""Exported weights, loaded as a user would load them and compared with the trained network."""

from __future__ import annotations

from typing import Any

import safetensors.torch
import timm
import torch
from jaxtyping import Float
from torch import Tensor

from videomac import config
from videomac.errors import ExportError
from videomac.nn.networks.encoder import Encoder
from videomac.nn.networks.registry import build_encoder
from videomac.records.card import Card, Checked

TOLERANCE = 1e-4
"""Largest difference between exported and trained features, relative to the stage's largest value."""
IMAGE = (96, 128)
"""Height and width of the image on which features are compared."""


def check_export(encoder: Encoder, content: bytes, card: Card) -> Checked:
    """Load the exported bytes as a user would, and compare dense features on a random image.

    Raises:
        ExportError: a stage differs by more than `TOLERANCE`.
    """
    x_bchw = torch.randn(2, 3, *IMAGE, generator=torch.Generator().manual_seed(0))
    theirs = dense_stages(content, card, x_bchw)
    with torch.no_grad():
        ours = encoder.dense(x_bchw)
    worst = max(relative_difference(a, b) for a, b in zip(theirs, ours, strict=True))
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{card.architecture}: exported features differ from the trained ones by {worst:.2e} of a stage's largest "
            f"value, expected at most {TOLERANCE:g}; nothing was written"
        )
    loaded_by = f"timm {timm.__version__}" if card.timm else "videomac.nn.networks.registry.build_encoder"
    return Checked(
        loaded_by=f"{loaded_by}, strict=True", largest_relative_difference=worst, tolerance=TOLERANCE, image=IMAGE
    )


@torch.no_grad()
def dense_stages(content: bytes, card: Card, x_bchw: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
    """Return the four stages, each (b, c, h / s, w / s), of an export's network loaded from its bytes."""
    weights = safetensors.torch.load(content)
    if card.timm:
        model: Any = timm.create_model(**card.timm).eval()
        model.load_state_dict(weights, strict=True)
        return model.forward_intermediates(x_bchw, intermediates_only=True)[-4:]
    ours = build_encoder(config.Encoder.model_validate(card.encoder), card.cell or 32).eval()
    ours.load_state_dict(weights, strict=True)
    return ours.dense(x_bchw)


def relative_difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest value of the second."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item()
