"""Sparse ConvNets on packed cells, their masked reference, and the decoder.

Start at `build_encoder`, which makes an `Encoder` of any name in `videomac.facts.networks.SIZES`: called with images
and visible cells it returns four stages of packed cells, `dense` those of whole images. docs/design/packed-cells.md
shows both, and how the parts fit together. Nothing here needs Ray or a video decoder.
"""

from videomac.nn.batchnorm import SiteBatchNorm, sync_batchnorm
from videomac.nn.grn import GlobalResponseNorm
from videomac.nn.masking import all_cells, cells_to_visible, pack, unpack, visible_sites
from videomac.nn.networks.decoder import Decoder
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.networks.registry import build_encoder, build_network, timm_arguments, timm_state_dict
from videomac.nn.patches import denormalise_cells, normalise_cells, patchify, unpatchify

__all__ = [
    "Decoder",
    "Encoder",
    "EncoderSpec",
    "GlobalResponseNorm",
    "SiteBatchNorm",
    "all_cells",
    "build_encoder",
    "build_network",
    "cells_to_visible",
    "denormalise_cells",
    "normalise_cells",
    "pack",
    "patchify",
    "sync_batchnorm",
    "timm_arguments",
    "timm_state_dict",
    "unpack",
    "unpatchify",
    "visible_sites",
]
