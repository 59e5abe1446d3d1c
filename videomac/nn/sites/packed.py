"""Packed cells: the visible sites of a map as one dense tensor, and the operations that need a site's neighbours.

Every sample has the same number of visible cells, so the visible part of a map is `(b, k, t, t, c)`: pointwise layers
run on it as on any dense tensor. Only a kernel that looks beyond its own site has to know where the cells lie. See
docs/design/packed-cells.md.

Shape letters: b batch, k visible cells, t sites along one side of a cell (u after a stride), s = k * t * t packed
sites, h w sites of the whole map, c o channels in and out, p side of a kernel.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from videomac.nn.masking import Grid
from videomac.nn.patches import patchify
from videomac.nn.sites.convolution import max_pool, stem_conv, taps_conv
from videomac.nn.sites.depthwise import depthwise_conv
from videomac.nn.sites.linear import linear
from videomac.nn.sites.neighbours import Neighbours

FEW_CHANNELS = 4
"""Up to this many input channels a kernel larger than one site runs on tiles: the table of its taps would cost more."""


class PackedSites:
    """The packed backend: where the visible cells of a batch lie."""

    def __init__(self, cells_bk: Int64[Tensor, "b k"], grid: Grid, valid_b: Bool[Tensor, " b"] | None = None):
        self.cells_bk, self.grid, self.valid_b = cells_bk, grid, valid_b
        self.neighbours = Neighbours(cells_bk, grid)

    def zero_hidden(self, x_bkttc: Float[Tensor, "b k t t c"]) -> Float[Tensor, "b k t t c"]:
        """Return the map unchanged: hidden sites are not stored."""
        return x_bkttc

    def image(self, x_bchw: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k t t c"]:
        """Return the visible pixels."""
        b, c, _, w = x_bchw.shape
        t = w // self.grid[1]
        x_bnd = patchify(x_bchw, t)
        first = torch.arange(b, device=x_bnd.device).unsqueeze(1) * x_bnd.shape[1]
        return x_bnd.flatten(0, 1).index_select(0, (first + self.cells_bk).flatten()).reshape(b, -1, t, t, c)

    def linear(self, x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Linear | nn.Conv2d) -> Float[Tensor, "b k t t o"]:
        """Apply a linear layer or 1x1 convolution by the faster of oneDNN and PyTorch's own product."""
        return linear(x_bkttc, layer.weight.flatten(1), layer.bias)

    def conv(self, x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d) -> Float[Tensor, "b k u u o"]:
        """Apply a convolution over visible neighbours; hidden ones count as zero."""
        side, stride = layer.kernel_size[0], layer.stride[0]
        if side == 1:
            # contiguous: products of strided maps fall back to slow batched ones (bf16: 90 ms instead of 1 ms)
            return self.linear(x_bkttc[:, :, ::stride, ::stride].contiguous(), layer)
        if side == stride:
            return _conv_inside(x_bkttc, layer)
        if layer.groups == layer.in_channels:
            return depthwise_conv(x_bkttc, layer, self.neighbours)
        by_tiles = layer.in_channels <= FEW_CHANNELS and layer.dilation[0] == 1
        if by_tiles:
            return stem_conv(x_bkttc, layer, self.neighbours)
        return taps_conv(x_bkttc, layer, self.neighbours)

    def max_pool(self, x_bkttc: Float[Tensor, "b k t t c"]) -> Float[Tensor, "b k u u c"]:
        """Take the 3x3 maximum at stride 2 over visible neighbours."""
        return max_pool(x_bkttc, self.neighbours)

    def counted(self, x_bkttc: Float[Tensor, "b k t t c"]) -> Float[Tensor, "b 1"] | None:
        """Return 1 for the samples whose sites take part in a norm over the batch, else 0; None: all of them."""
        return None if self.valid_b is None else self.valid_b.to(x_bkttc.dtype).unsqueeze(1)

    def pack(self, x_bkttc: Float[Tensor, "b k t t c"]) -> Float[Tensor, "b k t t c"]:
        """Return the map unchanged: it is packed."""
        return x_bkttc


def _conv_inside(x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d) -> Float[Tensor, "b k u u o"]:
    """Convolve with stride = kernel and no padding: every output site has its own p x p sites, all of the same cell."""
    b, k, t, _, c = x_bkttc.shape
    p = layer.kernel_size[0]
    x_bkupupc = x_bkttc.reshape(b, k, t // p, p, t // p, p, c)
    patches_bkuud = x_bkupupc.transpose(3, 4).reshape(b, k, t // p, t // p, p * p * c)
    return linear(patches_bkuud, layer.weight.permute(0, 2, 3, 1).flatten(1), layer.bias)
