"""Which encoders there are, and how one is built from the configuration."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from videomac import config
from videomac.errors import ConfigError, ExportError
from videomac.nn.convnext import ConvNeXt
from videomac.nn.encoder import Encoder, refuse_cell
from videomac.nn.init import init_convnext, init_paper_encoder, init_resnet
from videomac.nn.resnet import BasicBlock, Bottleneck, ResNet


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


def build_encoder(encoder: config.Encoder, cell: int = 32) -> Encoder:
    """A freshly initialised network as the configuration says (`encoder.init` is not read: see `init.load_weights`).

    Args:
        encoder: the configuration's section.
        cell: side of a mask cell in pixels: 32, or 16 for networks whose last stage then keeps its stride.

    Raises:
        ConfigError: an unknown name, a variant the published code does not have, or a cell that does not fit.
    """
    size = find_size(encoder)
    stride = 16 if cell == 16 else 32
    refuse_cell(cell, stride)
    network = build_network(size, encoder.variant, encoder.grn, output_stride=stride)
    network.name, network.variant, network.cell = encoder.name, encoder.variant, cell
    network.backend, network.drop_path = encoder.backend, encoder.drop_path
    network.gradient_checkpointing = encoder.gradient_checkpointing
    return network


def find_size(encoder: config.Encoder) -> Size:
    """The table's row for a name.

    Raises:
        ConfigError: an unknown name, or a `paper` variant that was never published.
    """
    if encoder.name not in SIZES:
        close = difflib.get_close_matches(encoder.name, SIZES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"model.encoder.name: unknown network {encoder.name!r}{hint} (known: {', '.join(SIZES)})")
    size = SIZES[encoder.name]
    if encoder.variant == "paper" and not size.paper:
        raise ConfigError(
            f"model.encoder.variant: the published code has no {encoder.name}; use standard, resnet18 or resnet50"
        )
    return size


def build_network(
    size: Size,
    variant: Literal["standard", "paper"],
    grn: Literal["image", "batch"] | None = None,
    *,
    output_stride: Literal[16, 32] = 32,
    stem: int = 64,
) -> Encoder:
    """A network of any size, initialised; `stem` is the width of a ResNet's first layer."""
    paper = variant == "paper"
    if size.family in ("basic", "bottleneck"):
        block = BasicBlock if size.family == "basic" else Bottleneck
        network = ResNet(block, size.depths, size.dims, stem=stem, paper=paper, output_stride=output_stride)
        (init_paper_encoder if paper else init_resnet)(network)
        return network
    v2 = size.family == "convnextv2"
    network = ConvNeXt(
        size.depths,
        size.dims,
        grn=(grn or ("batch" if paper else "image")) if v2 else None,
        layer_scale=not v2 and not paper,
        as_conv=size.as_conv and not paper,
        in_line_norms=paper,
        output_stride=output_stride,
    )
    (init_paper_encoder if paper else init_convnext)(network)
    return network


def timm_arguments(encoder: Encoder) -> dict[str, object]:
    """What `timm.create_model` must be given, beside the weights, to build the same network.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    if encoder.variant == "paper":
        raise ExportError(
            f"{encoder.name} of variant paper is no timm network: its norms are in line and cannot be folded into the "
            "next layer; export it as safetensors with card (our own dense class loads it), or train variant standard"
        )
    arguments: dict[str, object] = {"model_name": encoder.name, "num_classes": 0}
    if encoder.strides[-1] != 32:
        arguments["output_stride"] = encoder.strides[-1]
    return arguments


def timm_state_dict(encoder: Encoder) -> dict[str, Tensor]:
    """All that `timm.create_model(**timm_arguments(encoder))` loads strictly: ours, and an identity head norm.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    timm_arguments(encoder)
    state = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    if isinstance(encoder, ConvNeXt):
        state["head.norm.weight"] = torch.ones(encoder.dims[-1])
        state["head.norm.bias"] = torch.zeros(encoder.dims[-1])
    return state
