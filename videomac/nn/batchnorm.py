"""BatchNorm with statistics over the visible sites of the valid samples, across all workers on request.

Shape letters: b batch, s sites of one sample, c channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch import distributed as dist

from videomac.nn.sites.protocol import Features, Sites

_recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)


@contextmanager
def recomputing() -> Iterator[None]:
    """Freeze running statistics: a checkpointed block's second forward pass must not count its batch again."""
    token = _recomputing.set(True)
    try:
        yield
    finally:
        _recomputing.reset(token)


class SiteBatchNorm(nn.Module):
    """BatchNorm2d's parameters, buffers and formulas (Ioffe and Szegedy 2015) over another population.

    In training with fewer than 2 counted sites (a batch without a valid sample) the running statistics are used and
    left alone, chosen by `torch.where` so that nothing waits for the device.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum, self.in_sync = eps, momentum, False
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Features, sites: Sites[Features]) -> Features:
        """Normalise each channel; hidden sites stay zero where they are stored."""
        x_bsc = x.flatten(1, -2)
        if self.training:
            y_bsc, mean_c, var_c, count = _Normalise.apply(x_bsc, self, self.weight, self.bias, sites.counted(x))
            if not _recomputing.get():
                self._follow(mean_c, var_c, count)
        else:
            scale_c = self.weight * torch.rsqrt(self.running_var + self.eps)
            shift_c = self.bias - self.running_mean * scale_c
            y_bsc = torch.addcmul(shift_c.to(x.dtype), x_bsc, scale_c.to(x.dtype))
        return sites.zero_hidden(y_bsc.view_as(x))

    @torch.no_grad()
    def _follow(self, mean_c: Float[Tensor, " c"], var_c: Float[Tensor, " c"], count: Float[Tensor, ""]) -> None:
        """Move the running statistics towards those of the batch (unbiased variance, as BatchNorm2d).

        Below 2 sites they stay as they are.
        """
        enough = count >= 2
        step = (self.momentum * enough).to(mean_c.dtype)
        self.running_mean.lerp_(mean_c, step)
        self.running_var.lerp_(var_c * count / (count - 1).clamp(min=1), step)
        self.num_batches_tracked.add_(enough)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias; also mean, biased variance and the number of counted sites.

    Sites that are not counted are normalised too: gradients pass through them, but not into the statistics.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_bsc: Float[Tensor, "b s c"],
        norm: SiteBatchNorm,
        weight_c: Float[Tensor, " c"],
        bias_c: Float[Tensor, " c"],
        counted_bs: Float[Tensor, "b _"] | None,
    ) -> tuple[Float[Tensor, "b s c"], Float[Tensor, " c"], Float[Tensor, " c"], Float[Tensor, ""]]:
        everyone = x_bsc.shape[0] * x_bsc.shape[1]
        ones_b1 = weight_c.new_ones(len(x_bsc), 1) if counted_bs is None else counted_bs.to(weight_c.dtype)
        count = _over_workers(norm, ones_b1.sum() * (everyone // ones_b1.numel()))
        enough = count >= 2
        batch_c = _over_workers(norm, _total(x_bsc, counted_bs)) / count.clamp(min=1)
        mean_c = torch.where(enough, batch_c, norm.running_mean)
        centred_bsc = x_bsc - mean_c.to(x_bsc.dtype)
        batch_c = _over_workers(norm, _total(centred_bsc * centred_bsc, counted_bs)) / count.clamp(min=1)
        var_c = torch.where(enough, batch_c, norm.running_var)
        inverse_c = torch.rsqrt(var_c + norm.eps)
        ctx.save_for_backward(centred_bsc, weight_c, inverse_c, count, counted_bs)
        ctx.norm = norm
        ctx.mark_non_differentiable(mean_c, var_c, count)
        y_bsc = torch.addcmul(bias_c.to(x_bsc.dtype), centred_bsc, (weight_c * inverse_c).to(x_bsc.dtype))
        return y_bsc, mean_c, var_c, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        centred_bsc, weight_c, inverse_c, count, counted_bs = ctx.saved_tensors
        grad_bsc = grads[0]
        grad_bias = _total(grad_bsc, None)
        grad_weight = _total(grad_bsc * centred_bsc, None) * inverse_c
        enough = (count >= 2) / count.clamp(min=1)
        scale_c = weight_c * inverse_c
        through_mean_c = -scale_c * _over_workers(ctx.norm, grad_bias) * enough
        through_var_c = -scale_c * inverse_c * _over_workers(ctx.norm, grad_weight) * enough
        if counted_bs is not None:
            counted_bs1 = counted_bs.to(weight_c.dtype).unsqueeze(-1)
            through_mean_c, through_var_c = counted_bs1 * through_mean_c, counted_bs1 * through_var_c
        dtype = grad_bsc.dtype
        statistics_bsc = torch.addcmul(through_mean_c.to(dtype), centred_bsc, through_var_c.to(dtype))
        return torch.addcmul(statistics_bsc, grad_bsc, scale_c.to(dtype)), None, grad_weight, grad_bias, None


def _total(x_bsc: Float[Tensor, "b s c"], counted_bs: Float[Tensor, "b _"] | None) -> Float[Tensor, " c"]:
    """Return the sum over the counted sites, in float32 or wider."""
    dtype = torch.promote_types(x_bsc.dtype, torch.float32)
    if counted_bs is None:
        return x_bsc.sum((0, 1), dtype=dtype)
    if counted_bs.shape[1] == 1:
        return (x_bsc.sum(1, dtype=dtype) * counted_bs).sum(0)
    return (x_bsc * counted_bs.unsqueeze(-1)).sum((0, 1), dtype=dtype)


def _over_workers(norm: SiteBatchNorm, total: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the sum over all workers if the norm is in sync, else the total unchanged."""
    if norm.in_sync and dist.is_initialized():
        total = total.clone()
        dist.all_reduce(total)
    return total


def sync_batchnorm(network: nn.Module, in_sync: bool = True) -> None:
    """Make every BatchNorm of a network take its statistics over all workers of the default process group."""
    for module in network.modules():
        if isinstance(module, SiteBatchNorm):
            module.in_sync = in_sync
