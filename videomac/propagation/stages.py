"""The stages of a network: which there are, and how a network is run up to one of them.

Shape letters: b batch, c channels, h w pixels, y x feature grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videomac.errors import EvaluationError
from videomac.nn.networks.encoder import Encoder
from videomac.propagation.dilation import PROBED_PX, dilate

MIN_STRIDE = 4
"""Features are of this stride or more: finer levels of a network are not stages."""

Run = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c y x"]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a network, ready to run."""

    number: int
    """Counted from 0, the first stage of stride 4 or more."""
    stride: int
    """Pixels between two sites."""
    multiple: int
    """Side of the frames must be a multiple of this."""
    run: Run


def find_stage(network: nn.Module, number: int, name: str, stride_reduction: int = 1) -> Stage:
    """Return a stage of a timm network or of our own dense class; -1 is the last one.

    `stride_reduction` changes the network in place: the strides of its last layers are dropped and the kernels behind
    them dilated (`propagation.dilation`).

    Raises:
        EvaluationError: the network has no such stage, or cannot be dilated.
    """
    ours = isinstance(network, Encoder)
    levels = list(enumerate(network.strides)) if ours else _timm_levels(network)
    place = _checked(number, levels, name)
    index, stride = levels[place]
    run: Run = _DenseStage(network, index) if ours else _TimmStage(network, index, is_last=place == len(levels) - 1)
    if stride_reduction > 1:
        if ours:
            raise EvaluationError(f"{name}: a `paper` network cannot be dilated; set stride_reduction=1")
        _dilate(network, run, stride, stride_reduction, name)
    # Frames are padded as for the undilated network, so that its sites are among those of the dilated one.
    multiple = max(stride for _, stride in levels) if ours else stride
    return Stage(place, stride // stride_reduction, multiple, run)


class _DenseStage:
    """One stage of our own dense class."""

    def __init__(self, network: Encoder, index: int) -> None:
        self._network, self._index = network, index

    def __call__(self, x_bchw: Tensor) -> Tensor:
        return self._network.dense(x_bchw)[self._index]


class _TimmStage:
    """One level of a timm network; nothing beyond it is computed."""

    def __init__(self, network: nn.Module, index: int, is_last: bool) -> None:
        self._network: Any = network
        self._index = index
        # A plain transformer ends in a norm that belongs to its last features; a ConvNet's norm belongs to its head.
        self._norm = is_last and hasattr(network, "blocks")

    def __call__(self, x_bchw: Tensor) -> Tensor:
        return self._network.forward_intermediates(
            x_bchw, indices=[self._index], norm=self._norm, stop_early=not self._norm, intermediates_only=True
        )[0]


def _timm_levels(network: Any) -> list[tuple[int, int]]:
    """Return (index for `forward_intermediates`, stride) of every stage."""
    if not hasattr(network, "forward_intermediates"):
        raise EvaluationError(
            f"{type(network).__name__}: timm has no `forward_intermediates` for this network, so its stages cannot be "
            "used; choose another network"
        )
    strides = [info["reduction"] for info in network.feature_info]
    return [(index, stride) for index, stride in enumerate(strides) if stride >= MIN_STRIDE]


def _checked(number: int, levels: list[tuple[int, int]], name: str) -> int:
    if not -1 <= number < len(levels):
        known = ", ".join(f"{i}: stride {stride}" for i, (_, stride) in enumerate(levels))
        raise EvaluationError(f"stage: {name} has no stage {number}; it has {known} (-1: the last)")
    return number % len(levels)


def _dilate(network: nn.Module, run: Run, stride: int, reduction: int, name: str) -> None:
    if stride % reduction or stride // reduction < MIN_STRIDE:
        raise EvaluationError(
            f"stride_reduction: this stage of {name} has stride {stride}, and {stride}/{reduction} is "
            f"{stride / reduction:g}; features need stride {MIN_STRIDE} or more: choose a later stage"
        )
    dilate(network, run, stride // reduction)
    side = run(torch.zeros(1, 3, PROBED_PX, PROBED_PX)).shape[2]
    if side * (stride // reduction) != PROBED_PX:
        raise EvaluationError(
            f"stride_reduction: {name} reduces its resolution outside of convolutions and pooling; set it to 1"
        )
