"""Layers that run on packed and on dense maps alike: channels last, norms over a sample or a batch, drop path.

Shape letters: b batch, s sites of one sample, c o channels in and out, l blocks of a network.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Features = Float[Tensor, "b ... _"]
"""A map of features, packed (b k t t c) or dense (b h w c)."""


@runtime_checkable
class Sites(Protocol):
    """What a backend knows: which sites exist and how a kernel reaches their neighbours."""

    valid_b: Bool[Tensor, " b"] | None
    """Rows that take part in norms over the batch; None: all."""

    def image(self, x_bchw: Any, /) -> Any:
        """The image as the first map."""

    def keep(self, x: Any, /) -> Any:
        """The map with hidden sites at zero, where they are stored at all."""

    def conv(self, x: Any, layer: nn.Conv2d, /) -> Any:
        """A convolution in which hidden sites count as zero and stay hidden."""

    def max_pool(self, x: Any, /) -> Any:
        """3x3 maximum at stride 2 over visible sites."""

    def weight(self, x: Any, /) -> Any:
        """(b, s): 1 for the sites that take part in a norm over the batch; None: all of them."""

    def pack(self, x: Any, /) -> Any:
        """The map as packed cells (b, k, t, t, c)."""


def pointwise(x: Features, layer: nn.Linear | nn.Conv2d) -> Features:
    """A linear layer or 1x1 convolution at every site."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)


class GlobalResponseNorm(nn.Module):
    """GRN of ConvNeXt V2 (Woo et al., CVPR 2023), with timm's parameter names.

    `image`: the norm of a channel is taken over the sites of one sample, as in the dense network. `batch`: over all
    visible sites of the valid rows of the batch, as VideoMAC's published code does (so that a sample depends on its
    batch-mates).
    """

    def __init__(self, channels: int, population: Literal["image", "batch"] = "image"):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.population = population
        self.eps = 1e-6

    def forward(self, x: Features, valid_b: Bool[Tensor, " b"] | None = None) -> Features:
        """Hidden sites, where they are stored, must be zero."""
        x_bsc = x.flatten(1, -2)
        if self.population == "batch":
            norm_bc = self._batch_norm_of(x_bsc, valid_b)
        else:
            norm_bc = torch.linalg.vector_norm(x_bsc, dim=1)
        share_bc = norm_bc / (norm_bc.mean(-1, keepdim=True) + self.eps)
        factor_bc = 1 + self.weight * share_bc
        return torch.addcmul(self.bias, x_bsc, factor_bc.unsqueeze(1)).view_as(x)

    @staticmethod
    def _batch_norm_of(x_bsc: Float[Tensor, "b s c"], valid_b: Bool[Tensor, " b"] | None) -> Float[Tensor, "1 c"]:
        if valid_b is not None:
            x_bsc = torch.where(valid_b[:, None, None], x_bsc, 0.0)
        return torch.linalg.vector_norm(x_bsc, dim=(0, 1)).unsqueeze(0)


def drop_path_rates(rate: float, blocks: int) -> list[float]:
    """From 0 at the first block to `rate` at the last, linearly (as timm)."""
    return [rate * i / max(1, blocks - 1) for i in range(blocks)]


def drop_path_scales(
    uniform_bl: Float[Tensor, "b l"] | None, rates: list[float]
) -> list[Float[Tensor, " b"]] | list[None]:
    """Per block and sample 1 / (1 - rate) where uniform >= rate, else 0 (stochastic depth, Huang et al. 2016)."""
    if uniform_bl is None or not any(rates):
        return [None] * len(rates)
    rate_l = torch.tensor(rates, dtype=uniform_bl.dtype, device=uniform_bl.device)
    scale_bl = torch.where(uniform_bl >= rate_l, 1 / (1 - rate_l), 0.0)
    return list(scale_bl.unbind(1))


def scaled(x: Features, scale_b: Float[Tensor, " b"] | None) -> Features:
    """Each sample times its drop-path scale; None: unchanged."""
    if scale_b is None:
        return x
    return x * scale_b.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
