"""The reference backend: dense convolutions, hidden sites set to zero again after each (as in SparK, ICLR 2023).

Slow and obvious; `packed` and `minkowski` are tested against it, forward and backward. Selection is by `masked_fill`,
never by multiplication, so that not even a NaN in a hidden pixel passes.

Shape letters: b batch, h w sites, c o channels in and out, k visible cells, t sites along one side of a cell.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from videomac.nn.masking import Grid, pack, visible_sites
from videomac.nn.sites.protocol import pointwise


class MaskedSites:
    """Sites of a dense map `x_bhwc`; without `cells_bk` every site is visible and nothing is masked."""

    def __init__(self, cells_bk: Int64[Tensor, "b k"] | None, grid: Grid, valid_b: Bool[Tensor, " b"] | None = None):
        self.cells_bk, self.grid, self.valid_b = cells_bk, grid, valid_b

    def zero_hidden(self, x_bhwc: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """Return the map with zeros at hidden sites."""
        if self.cells_bk is None:
            return x_bhwc
        visible_bhw = visible_sites(self.cells_bk, self.grid, x_bhwc.shape[1] // self.grid[0])
        return x_bhwc.masked_fill(~visible_bhw.unsqueeze(-1), 0.0)

    def image(self, x_bchw: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c"]:
        """Return the image as the first map."""
        return self.zero_hidden(x_bchw.permute(0, 2, 3, 1))

    def linear(self, x_bhwc: Float[Tensor, "b h w c"], layer: nn.Linear | nn.Conv2d) -> Float[Tensor, "b h w o"]:
        """Apply a linear layer or 1x1 convolution by PyTorch's own product."""
        return pointwise(x_bhwc, layer)

    def conv(self, x_bhwc: Float[Tensor, "b h w c"], layer: nn.Conv2d) -> Float[Tensor, "b y x o"]:
        """Apply a convolution to the dense map; an even kernel at stride 1 is padded right and below (`same`)."""
        x_bchw = x_bhwc.permute(0, 3, 1, 2)
        if layer.padding == "same":
            x_bchw = F.pad(x_bchw, (0, 1, 0, 1))
            y_bohw = F.conv2d(x_bchw, layer.weight, layer.bias)
        else:
            y_bohw = layer(x_bchw)
        return self.zero_hidden(y_bohw.permute(0, 2, 3, 1))

    def max_pool(self, x_bhwc: Float[Tensor, "b h w c"]) -> Float[Tensor, "b y x c"]:
        """Take the 3x3 maximum at stride 2 over visible sites; there is always one."""
        x_bchw = x_bhwc.permute(0, 3, 1, 2)
        if self.cells_bk is not None:
            visible_bhw = visible_sites(self.cells_bk, self.grid, x_bhwc.shape[1] // self.grid[0])
            x_bchw = x_bchw.masked_fill(~visible_bhw.unsqueeze(1), -torch.inf)
        return self.zero_hidden(F.max_pool2d(x_bchw, 3, 2, 1).permute(0, 2, 3, 1))

    def counted(self, x_bhwc: Float[Tensor, "b h w c"]) -> Float[Tensor, "b s"]:
        """Return 1 for the sites that take part in a norm over the batch, visible and of a valid sample, else 0."""
        counted_bhw = torch.ones_like(x_bhwc[..., 0], dtype=torch.bool)
        if self.cells_bk is not None:
            counted_bhw = visible_sites(self.cells_bk, self.grid, x_bhwc.shape[1] // self.grid[0])
        if self.valid_b is not None:
            counted_bhw = counted_bhw & self.valid_b[:, None, None]
        return counted_bhw.flatten(1).to(x_bhwc.dtype)

    def pack(self, x_bhwc: Float[Tensor, "b h w c"]) -> Float[Tensor, "b k t t c"]:
        """Return the map as packed cells."""
        assert self.cells_bk is not None
        return pack(x_bhwc, self.cells_bk, self.grid)
