"""A ConvNet's later stages at a smaller stride with the same weights: strides dropped, kernels behind them dilated.

Every site of the strided network is also a site of the dilated one and has the same value there, except behind layers
that look at a whole map (some norms and gates), which see more sites than before. The sites between them are new.

Shape letters: b batch, c channels, h w sites.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videomac.errors import EvaluationError

PROBED_PX = 128
"""Side of the image that finds out the strides inside a network: a multiple of all usual total strides."""


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A layer that looks at neighbours, and the stride at which it reads."""

    name: str
    layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
    reads_at: int


def dilate(network: nn.Module, run: Callable[[Tensor], Any], stride: int) -> None:
    """Change a network in place so that its sites are at most `stride` pixels apart.

    Args:
        network: a ConvNet in eval mode whose strides are those of its `Conv2d` and pooling layers.
        run: runs the part of it that is needed, for an image (1, 3, h, w).
        stride: pixels; a power of two at which some layer of the network ends.

    Raises:
        EvaluationError: a layer steps over that stride at once, or cannot be dilated.
    """
    for found in _layers(network, run):
        _change(found, stride)


def _layers(network: nn.Module, run: Callable[[Tensor], Any]) -> list[_Layer]:
    found: list[_Layer] = []
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            hooks.append(module.register_forward_pre_hook(functools.partial(_note, found, name)))
    with torch.inference_mode():
        run(torch.zeros(1, 3, PROBED_PX, PROBED_PX))
    for hook in hooks:
        hook.remove()
    return found


def _note(found: list[_Layer], name: str, layer: Any, x: tuple[Tensor, ...]) -> None:
    """Write down a layer that is about to run."""
    found.append(_Layer(name, layer, PROBED_PX // x[0].shape[2]))


def _change(found: _Layer, stride: int) -> None:
    layer, kernel, own = found.layer, _side(found.layer.kernel_size), _side(found.layer.stride)
    if found.reads_at * own <= stride:
        return
    if found.reads_at < stride:
        raise _refused(found, f"goes from stride {found.reads_at} past {stride} to {found.reads_at * own}")
    rate = found.reads_at // stride
    layer.stride = _like(layer.stride, 1)
    if kernel == 1:
        return
    if isinstance(layer, nn.AvgPool2d):
        if rate > 1:
            raise _refused(found, "is a mean over neighbours, which cannot be dilated")
        before, dilation = _side(layer.padding), 1
    else:
        before, dilation = _padding(found), _side(layer.dilation) * rate
        layer.dilation = _like(layer.dilation, dilation)
    before *= rate
    _pad(layer, before, dilation * (kernel - 1) - before)


def _padding(found: _Layer) -> int:
    """Return how many sites the layer adds before the first one."""
    layer = found.layer
    if type(layer).__name__.endswith("Same"):
        raise _refused(found, "pads by the size of its input")
    if isinstance(layer.padding, str):
        return (_side(layer.dilation) * (_side(layer.kernel_size) - 1)) // 2 if layer.padding == "same" else 0
    return _side(layer.padding)


def _pad(layer: Any, before: int, after: int) -> None:
    """Make the layer give as many sites as it gets: it pads equal sides itself, unequal ones are padded ahead of it."""
    if before == after:
        layer.padding = _like(layer.padding, before)
        return
    layer.padding = _like(layer.padding, 0)
    mode = "replicate" if isinstance(layer, nn.AvgPool2d) else "constant"
    layer.register_forward_pre_hook(lambda _, x: F.pad(x[0], (before, after, before, after), mode=mode))


def _refused(found: _Layer, why: str) -> EvaluationError:
    return EvaluationError(
        f"stride_reduction: layer {found.name} ({type(found.layer).__name__}) {why}, so it cannot be dilated; "
        "set stride_reduction=1 or choose another stage"
    )


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


def _like(old: Any, value: int) -> Any:
    return value if isinstance(old, int) else (value, value)
