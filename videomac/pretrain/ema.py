"""The target network: an exponential moving average of the online one, the same on every worker."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from videomac.nn.torch_internals import lerp_all

N = TypeVar("N", bound=nn.Module)


def make_target(online: N) -> N:
    """Return a copy of the online network in eval mode that no gradient reaches."""
    return copy.deepcopy(online).requires_grad_(False).eval()


@torch.no_grad()
def update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Set target = momentum * target + (1 - momentum) * online, for parameters and floating-point buffers.

    Counters among the buffers (BatchNorm's `num_batches_tracked`) are copied.
    """
    averaged, counters = _tensor_pairs(target, online)
    ours, theirs = [t for t, _ in averaged], [o for _, o in averaged]
    lerp_all(ours, theirs, 1.0 - momentum)
    for counter, counted in counters:
        counter.copy_(counted)


@torch.no_grad()
def relative_distance(target: nn.Module, online: nn.Module) -> float:
    """Return |target - online| / |online| over all parameters: how far the target trails behind."""
    apart = [a.detach() - b.detach() for a, b in zip(target.parameters(), online.parameters(), strict=True)]
    whole = [p.detach() for p in online.parameters()]
    return (torch.nn.utils.get_total_norm(apart) / torch.nn.utils.get_total_norm(whole)).item()


def _tensor_pairs(
    target: nn.Module, online: nn.Module
) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
    pairs = list(zip(target.parameters(), online.parameters(), strict=True))
    pairs += list(zip(target.buffers(), online.buffers(), strict=True))
    return [p for p in pairs if p[0].is_floating_point()], [p for p in pairs if not p[0].is_floating_point()]
