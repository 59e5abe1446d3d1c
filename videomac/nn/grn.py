"""Global response normalization of ConvNeXt V2, on packed and on dense maps alike.

Shape letters: b batch, s sites of one sample, c channels.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from videomac.nn.sites.protocol import Features


class GlobalResponseNorm(nn.Module):
    """GRN of ConvNeXt V2 (Woo et al., CVPR 2023), with timm's parameter names.

    `image`: the norm of a channel is taken over the sites of one sample, as in the dense network. `batch`: over all
    visible sites of the valid samples of the batch, as in VideoMAC's published code (so a sample depends on its
    batch-mates).
    """

    def __init__(self, channels: int, population: Literal["image", "batch"] = "image"):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.population = population
        self.eps = 1e-6

    def forward(self, x: Features, valid_b: Bool[Tensor, " b"] | None = None) -> Features:
        """Return the response; hidden sites, where they are stored, must be zero.

        `valid_b`: samples that are counted where the population is the batch; None: all.
        """
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
        ctx: Any,
        x_bsc: Float[Tensor, "b s c"],
        weight_c: Float[Tensor, " c"],
        bias_c: Float[Tensor, " c"],
        valid_b: Bool[Tensor, " b"] | None,
        batch: bool,
        eps: float,
    ) -> Float[Tensor, "b s c"]:
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
