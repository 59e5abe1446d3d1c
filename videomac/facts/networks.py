"""The table of networks: names, depths and widths, known without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from videomac.errors import ConfigError
from videomac.facts.names import unknown


@dataclass(frozen=True)
class Size:
    """One row of the table of networks."""

    family: Literal["convnextv2", "convnext", "basic", "bottleneck"]
    """Which blocks it is made of; `basic` and `bottleneck` are ResNets."""
    depths: tuple[int, int, int, int]
    """Blocks in each stage."""
    dims: tuple[int, int, int, int]
    """timm's width of each stage; for ResNets, the width inside the blocks."""
    as_conv: bool = False
    """Whether timm writes its linear layers as 1x1 convolutions, as it does for small ConvNeXts (`paper`: never)."""
    paper: bool = True
    """Whether the published code can build it."""


_WIDTHS = (64, 128, 256, 512)
SIZES: dict[str, Size] = {
    "convnextv2_atto": Size("convnextv2", (2, 2, 6, 2), (40, 80, 160, 320), as_conv=True),
    "convnextv2_femto": Size("convnextv2", (2, 2, 6, 2), (48, 96, 192, 384), as_conv=True),
    "convnextv2_pico": Size("convnextv2", (2, 2, 6, 2), (64, 128, 256, 512), as_conv=True),
    "convnextv2_nano": Size("convnextv2", (2, 2, 8, 2), (80, 160, 320, 640), as_conv=True),
    "convnextv2_tiny": Size("convnextv2", (3, 3, 9, 3), (96, 192, 384, 768)),
    "convnextv2_small": Size("convnextv2", (3, 3, 27, 3), (96, 192, 384, 768)),
    "convnextv2_base": Size("convnextv2", (3, 3, 27, 3), (128, 256, 512, 1024)),
    "convnextv2_large": Size("convnextv2", (3, 3, 27, 3), (192, 384, 768, 1536)),
    "convnextv2_huge": Size("convnextv2", (3, 3, 27, 3), (352, 704, 1408, 2816)),
    "convnext_atto": Size("convnext", (2, 2, 6, 2), (40, 80, 160, 320), as_conv=True),
    "convnext_femto": Size("convnext", (2, 2, 6, 2), (48, 96, 192, 384), as_conv=True),
    "convnext_pico": Size("convnext", (2, 2, 6, 2), (64, 128, 256, 512), as_conv=True),
    "convnext_nano": Size("convnext", (2, 2, 8, 2), (80, 160, 320, 640), as_conv=True),
    "convnext_tiny": Size("convnext", (3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": Size("convnext", (3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": Size("convnext", (3, 3, 27, 3), (128, 256, 512, 1024)),
    "convnext_large": Size("convnext", (3, 3, 27, 3), (192, 384, 768, 1536)),
    "resnet18": Size("basic", (2, 2, 2, 2), _WIDTHS),
    "resnet34": Size("basic", (3, 4, 6, 3), _WIDTHS, paper=False),
    "resnet50": Size("bottleneck", (3, 4, 6, 3), _WIDTHS),
    "resnet101": Size("bottleneck", (3, 4, 23, 3), _WIDTHS, paper=False),
}


STAGES = 4
"""Stages of every network of the table."""


def find_size(name: str, variant: str) -> Size:
    """Return the table's row for a name.

    Raises:
        ConfigError: the name is unknown, or the published code has no such network for variant `paper`.
    """
    if name not in SIZES:
        raise ConfigError(unknown("network", name, SIZES))
    size = SIZES[name]
    if variant == "paper" and not size.paper:
        published = [other for other, row in SIZES.items() if row.paper and other.startswith(name.rstrip("0123456789"))]
        raise ConfigError(
            f"{name} has no variant paper, because the published code cannot build it; use variant standard, or "
            f"{' or '.join(published)}"
        )
    return size


def stage_strides(cell: int) -> tuple[int, int, int, int]:
    """Return pixels per site at each stage of a network that is trained with cells of this side."""
    return (4, 8, 16, cell)


def check_stage(name: str, stage: int, variant: str = "standard", stride_reduction: int = 1, cell: int = 32) -> None:
    """Check that features of a stage, dilated by `stride_reduction`, exist in a network of the table.

    Raises:
        ConfigError: there is no such stage, or the network cannot be dilated that much.
    """
    strides = stage_strides(cell)
    if not -1 <= stage < STAGES:
        listed = ", ".join(f"{i} (stride {stride})" for i, stride in enumerate(strides))
        raise ConfigError(f"{name} has no stage {stage}; it has {listed}, and -1 for the last")
    if stride_reduction == 1:
        return
    if variant == "paper":
        raise ConfigError(f"stride_reduction = {stride_reduction}: {name} of variant paper cannot be dilated; use 1")
    stride = strides[stage]
    if stride % stride_reduction or stride // stride_reduction < strides[0]:
        raise ConfigError(
            f"stride_reduction = {stride_reduction}: stage {stage} of {name} has stride {stride}, and features need a "
            f"stride of {strides[0]} or more; use a later stage or a smaller reduction"
        )
