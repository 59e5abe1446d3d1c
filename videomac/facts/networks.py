"""The table of networks: names, depths and widths, without torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from videomac.errors import ConfigError


@dataclass(frozen=True)
class Size:
    """One row of the table of networks; `dims` are timm's (of ResNets: the widths inside the blocks)."""

    family: Literal["convnextv2", "convnext", "basic", "bottleneck"]
    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]
    as_conv: bool = False
    """timm's small ConvNeXts write linear layers as 1x1 convolutions (`paper` ones do not)."""
    paper: bool = True
    """The published code can build it."""


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


def find_size(name: str, variant: str) -> Size:
    """The table's row for a name.

    Raises:
        ConfigError: an unknown name, or a `paper` variant that was never published.
    """
    if name not in SIZES:
        close = difflib.get_close_matches(name, SIZES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"model.encoder.name: unknown network {name!r}{hint} (known: {', '.join(SIZES)})")
    size = SIZES[name]
    if variant == "paper" and not size.paper:
        raise ConfigError(
            f"model.encoder.variant: the published code has no {name}; use standard, resnet18 or resnet50"
        )
    return size
