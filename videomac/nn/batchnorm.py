"""BatchNorm whose statistics run over the visible sites of the valid rows, in sync across workers on request.

Shape letters: b batch, s sites of one sample, c channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch import distributed as dist

from videomac.nn.layers import Features, Sites

_recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)


@contextmanager
def recomputing() -> Iterator[None]:
    """Running statistics stand still: a checkpointed block's second forward pass must not count its batch again."""
    token = _recomputing.set(True)
    try:
        yield
    finally:
        _recomputing.reset(token)


class SiteBatchNorm(nn.Module):
    """BatchNorm2d's parameters, buffers and formulas (Ioffe and Szegedy 2015), other population.

    In training with fewer than 2 counted sites (a batch without a valid row) the running statistics are used and left
    alone, chosen by `torch.where` so that nothing waits for the device.
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

    def forward(self, x: Features, sites: Sites) -> Features:
        """Normalised per channel; the result keeps hidden sites at zero where they are stored."""
        x_bsc = x.flatten(1, -2)
        mean_c, var_c = self.running_mean, self.running_var
        if self.training:
            mean_c, var_c = self._batch_statistics(x_bsc, sites.weight(x))
        scale_c = self.weight * torch.rsqrt(var_c + self.eps)
        y_bsc = torch.addcmul(self.bias - mean_c * scale_c, x_bsc, scale_c)
        return sites.keep(y_bsc.to(x.dtype).view_as(x))

    def _batch_statistics(
        self, x_bsc: Float[Tensor, "b s c"], weight_bs: Float[Tensor, "b s"] | None
    ) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Mean and biased variance over the counted sites (of all workers); running statistics follow (unbiased)."""
        x_bsc = x_bsc.to(self.running_mean.dtype)
        weight_bs1 = (torch.ones_like(x_bsc[..., 0]) if weight_bs is None else weight_bs.to(x_bsc.dtype)).unsqueeze(-1)
        count = self._over_workers(weight_bs1.sum())
        mean_c = self._over_workers((x_bsc * weight_bs1).sum((0, 1))) / count.clamp(min=1)
        var_c = self._over_workers(((x_bsc - mean_c).square() * weight_bs1).sum((0, 1))) / count.clamp(min=1)
        enough = count >= 2
        if not _recomputing.get():
            self._follow(mean_c.detach(), var_c.detach() * count / (count - 1).clamp(min=1), enough)
        return torch.where(enough, mean_c, self.running_mean), torch.where(enough, var_c, self.running_var)

    @torch.no_grad()
    def _follow(self, mean_c: Tensor, unbiased_c: Tensor, enough: Tensor) -> None:
        step = self.momentum * enough
        self.running_mean.lerp_(mean_c, step.to(mean_c.dtype))
        self.running_var.lerp_(unbiased_c, step.to(mean_c.dtype))
        self.num_batches_tracked.add_(enough)

    def _over_workers(self, total: Tensor) -> Tensor:
        return _SumOverWorkers.apply(total) if self.in_sync and dist.is_initialized() else total


class _SumOverWorkers(torch.autograd.Function):
    """The sum of a tensor over all workers; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, total: Tensor) -> Tensor:  # noqa: ARG004
        total = total.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # noqa: ARG004
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


def sync_batchnorm(network: nn.Module, in_sync: bool = True) -> None:
    """Lets every BatchNorm of a network take its statistics over all workers of the default process group."""
    for module in network.modules():
        if isinstance(module, SiteBatchNorm):
            module.in_sync = in_sync
