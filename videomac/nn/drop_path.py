"""Stochastic depth: each sample skips each block with the block's own probability.

Shape letters: b batch, l blocks of a network.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videomac.nn.sites.protocol import Features


def drop_path_rates(rate: float, blocks: int) -> list[float]:
    """Return the rate of each block: 0 at the first, `rate` at the last, linear between (as timm)."""
    return [rate * i / max(1, blocks - 1) for i in range(blocks)]


def drop_path_scales(
    uniform_bl: Float[Tensor, "b l"] | None, rates: list[float]
) -> list[Float[Tensor, " b"]] | list[None]:
    """Return for each block and sample 1 / (1 - rate) where uniform >= rate, else 0.

    Stochastic depth (Huang et al., ECCV 2016). None for every block: nothing is dropped.
    """
    if uniform_bl is None or not any(rates):
        return [None] * len(rates)
    rate_l = torch.tensor(rates, dtype=uniform_bl.dtype, device=uniform_bl.device)
    scale_bl = torch.where(uniform_bl >= rate_l, 1 / (1 - rate_l), 0.0)
    return list(scale_bl.unbind(1))


def scaled(x: Features, scale_b: Float[Tensor, " b"] | None) -> Features:
    """Multiply each sample by its drop-path scale; None leaves it unchanged."""
    if scale_b is None:
        return x
    return x * scale_b.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
