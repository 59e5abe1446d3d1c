"""How an encoder is built from the configuration; `facts.networks.SIZES` says which ones there are."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from videomac import config
from videomac.errors import ExportError
from videomac.facts.networks import Size, find_size
from videomac.nn.networks.convnext import ConvNeXt
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.networks.init import init_convnext, init_paper_encoder, init_resnet
from videomac.nn.networks.resnet import BasicBlock, Bottleneck, ResNet


def build_encoder(encoder: config.Encoder, cell: int = 32) -> Encoder:
    """Build a freshly initialised network as the configuration says.

    `encoder.init` is not read: `pretrain.init.load_initial_weights` loads those weights.

    Args:
        encoder: the configuration's section.
        cell: side of a mask cell in pixels: 32, or 16 for a network whose last stage then keeps its stride.

    Raises:
        ConfigError: an unknown name, a variant that the published code does not have, or a cell that does not fit.
    """
    spec = EncoderSpec(
        name=encoder.name,
        variant=encoder.variant,
        cell=cell,
        backend=encoder.backend,
        drop_path=encoder.drop_path,
        gradient_checkpointing=encoder.gradient_checkpointing,
    )
    return build_network(find_size(encoder.name, encoder.variant), spec, encoder.grn)


def build_network(
    size: Size, spec: EncoderSpec, grn: Literal["image", "batch"] | None = None, *, stem: int = 64
) -> Encoder:
    """Build and initialise a network of any depths and widths; `stem` is the width of a ResNet's first layer."""
    paper = spec.variant == "paper"
    if size.family in ("basic", "bottleneck"):
        block = BasicBlock if size.family == "basic" else Bottleneck
        network = ResNet(spec, block, size.depths, size.dims, stem=stem)
        (init_paper_encoder if paper else init_resnet)(network)
        return network
    v2 = size.family == "convnextv2"
    network = ConvNeXt(
        spec,
        size.depths,
        size.dims,
        grn=(grn or ("batch" if paper else "image")) if v2 else None,
        layer_scale=not v2 and not paper,
        as_conv=size.as_conv and not paper,
        in_line_norms=paper,
    )
    (init_paper_encoder if paper else init_convnext)(network)
    return network


def timm_arguments(encoder: Encoder) -> dict[str, object]:
    """Return what `timm.create_model` must be given, besides the weights, to build the same network.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    if encoder.variant == "paper":
        raise ExportError(
            f"{encoder.name} of variant paper is not a timm network: its norms are in line and cannot be folded into "
            "the next layer; export it as safetensors with card (our own dense class loads it), or train variant "
            "standard"
        )
    arguments: dict[str, object] = {"model_name": encoder.name, "num_classes": 0}
    if encoder.strides[-1] != 32:
        arguments["output_stride"] = encoder.strides[-1]
    return arguments


def timm_state_dict(encoder: Encoder) -> dict[str, Tensor]:
    """Return all that `timm.create_model(**timm_arguments(encoder))` loads strictly: ours, and an identity head norm.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    timm_arguments(encoder)
    state = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    if isinstance(encoder, ConvNeXt):
        state["head.norm.weight"] = torch.ones(encoder.dims[-1])
        state["head.norm.bias"] = torch.zeros(encoder.dims[-1])
    return state
