"""The decoder: mask tokens in the holes, dense ConvNeXt V2 blocks, the pixels of every cell.

Shape letters: b batch, k visible cells, n all cells, y x cells down and across, c channels of the encoder's last stage,
e channels of the decoder, d = cell * cell * 3 pixel values in the order of `videomac.nn.patches.patchify`.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videomac.nn.masking import Grid
from videomac.nn.networks.convnext import Block
from videomac.nn.networks.init import init_convnext, init_paper_decoder
from videomac.nn.sites.masked import MaskedSites
from videomac.nn.sites.protocol import pointwise


class Decoder(nn.Module):
    """The published `forward_decoder`: 1x1 projection, blocks with GRN per sample, 1x1 prediction.

    `variant="paper"` also initialises as the published code does: standard deviation 1 where a default was forgotten.
    """

    def __init__(
        self, dim_in: int, dim: int, depth: int, cell: int, variant: Literal["standard", "paper"] = "standard"
    ):
        super().__init__()
        self.proj = nn.Conv2d(dim_in, dim, 1)
        self.mask_token = nn.Parameter(torch.zeros(dim))
        self.blocks = nn.ModuleList(Block(dim, grn="image") for _ in range(depth))
        self.pred = nn.Conv2d(dim, cell * cell * 3, 1)
        (init_paper_decoder if variant == "paper" else init_convnext)(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, last_bkttc: Float[Tensor, "b k 1 1 c"], cells_bk: Int64[Tensor, "b k"], grid: Grid
    ) -> Float[Tensor, "b n d"]:
        """Return the predicted (normalised) pixels of every cell, visible ones included, in `patchify`'s order."""
        seen_bke = pointwise(last_bkttc, self.proj).flatten(1, 3)
        b, _, e = seen_bke.shape
        token_bne = self.mask_token.to(seen_bke.dtype).expand(b, grid[0] * grid[1], e)
        x_bne = token_bne.scatter(1, cells_bk.unsqueeze(-1).expand_as(seen_bke), seen_bke)
        x_byxe = x_bne.unflatten(1, grid)
        sites = MaskedSites(None, grid)
        for block in self.blocks:
            x_byxe = block(x_byxe, sites)
        return pointwise(x_byxe, self.pred).flatten(1, 2)
