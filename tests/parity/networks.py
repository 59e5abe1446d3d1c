"""Small networks of every family and random masks for them."""

from __future__ import annotations

import torch

from videomac.facts.networks import Size
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.networks.registry import build_network

SMALL = {
    "convnextv2": Size("convnextv2", (1, 1, 2, 1), (8, 12, 16, 20)),
    "convnextv2_as_conv": Size("convnextv2", (1, 1, 1, 1), (8, 12, 16, 20), as_conv=True),
    "convnext": Size("convnext", (1, 1, 2, 1), (8, 12, 16, 20)),
    "basic": Size("basic", (1, 1, 2, 1), (8, 8, 12, 16)),
    "bottleneck": Size("bottleneck", (1, 1, 2, 1), (4, 4, 6, 8)),
}


def small_network(family: str, variant: str = "standard", cell: int = 32, seed: int = 0) -> Encoder:
    """Return the network in float64, every parameter moved away from values that could hide a mistake."""
    torch.manual_seed(seed)
    network = build_network(SMALL[family], EncoderSpec(variant=variant, cell=cell), stem=8).double()
    for parameter in network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
        else:
            torch.nn.init.normal_(parameter, 0.0, parameter[0].numel() ** -0.5)
    return network


def random_cells(batch: int, cells: int, keep: int) -> torch.Tensor:
    return torch.stack([torch.randperm(cells)[:keep].sort().values for _ in range(batch)])
