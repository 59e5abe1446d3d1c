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

    def linear(self, x: Any, layer: nn.Linear | nn.Conv2d, /) -> Any:
        """A linear layer or 1x1 convolution at every site; what it gives at hidden ones does not count."""

    def conv(self, x: Any, layer: nn.Conv2d, /) -> Any:
        """A convolution in which hidden sites count as zero and stay hidden."""

    def max_pool(self, x: Any, /) -> Any:
        """3x3 maximum at stride 2 over visible sites."""

    def weight(self, x: Any, /) -> Any:
        """(b, s), or (b, 1) for all sites of a row: 1 where they take part in norms over the batch; None: all."""

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
        counted_b = valid_b if self.population == "batch" else None
        batch = self.population == "batch"
        return _Respond.apply(x_bsc, self.weight, self.bias, counted_b, batch, self.eps).view_as(x)


class _Respond(torch.autograd.Function):
    """x * (1 + weight * N) + bias, N = |x| / (mean over channels of |x| + eps), in few passes over x and few buffers.

    The derivative of a channel's norm |x| with respect to x is x / |x|, 0 where the norm is 0 (as in PyTorch).
    """

    @staticmethod
    def forward(
        ctx: Any, x_bsc: Tensor, weight_c: Tensor, bias_c: Tensor, valid_b: Tensor | None, batch: bool, eps: float
    ) -> Tensor:
        y_bsc = x_bsc * x_bsc
        square_bc = y_bsc.sum(1, dtype=weight_c.dtype)
        if valid_b is not None:
            square_bc = torch.where(valid_b.unsqueeze(1), square_bc, 0.0)
        norm_bc = (square_bc.sum(0, keepdim=True) if batch else square_bc).sqrt()
        share_bc = norm_bc / (norm_bc.mean(-1, keepdim=True) + eps)
        factor_bc = 1 + weight_c * share_bc
        ctx.save_for_backward(x_bsc, weight_c, norm_bc, valid_b)
        ctx.batch, ctx.eps = batch, eps
        dtype = x_bsc.dtype
        return torch.addcmul(bias_c.to(dtype), x_bsc, factor_bc.to(dtype).unsqueeze(1), out=y_bsc)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_bsc, weight_c, norm_bc, valid_b = ctx.saved_tensors
        grad_bsc = grads[0]
        level_b1 = norm_bc.mean(-1, keepdim=True) + ctx.eps
        share_bc = norm_bc / level_b1
        grad_x = grad_bsc * x_bsc
        d_factor_bc = grad_x.sum(1, dtype=weight_c.dtype)
        if ctx.batch:
            d_factor_bc = d_factor_bc.sum(0, keepdim=True)
        d_share_bc = d_factor_bc * weight_c
        d_norm_bc = (d_share_bc - (d_share_bc * share_bc).mean(-1, keepdim=True)) / level_b1
        pull_bc = torch.where(norm_bc > 0, d_norm_bc / norm_bc, 0.0)
        if valid_b is not None:
            pull_bc = torch.where(valid_b.unsqueeze(1), pull_bc, 0.0)
        factor_bc = 1 + weight_c * share_bc
        torch.mul(grad_bsc, factor_bc.to(grad_bsc.dtype).unsqueeze(1), out=grad_x)
        grad_x.addcmul_(x_bsc, pull_bc.to(x_bsc.dtype).unsqueeze(1))
        grad_bias = grad_bsc.sum((0, 1), dtype=weight_c.dtype)
        return grad_x, (d_factor_bc * share_bc).sum(0), grad_bias, None, None, None


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
