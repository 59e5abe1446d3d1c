"""Images as one vector of pixels per mask cell, and back.

Shape letters: b batch, c channels, h w pixels, y x cells down and across, n = y * x cells (row by row), p side of a
cell in pixels, d = p * p * c pixel values of a cell in the order (row, column, channel).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videomac.facts.grid import grid_of


def patchify(x_bchw: Float[Tensor, "b c h w"], cell: int) -> Float[Tensor, "b n d"]:
    """Return each cell's pixels as one vector, in the published code's order (row, column, channel)."""
    b, c, h, w = x_bchw.shape
    rows, columns = grid_of(h, w, cell)
    x_bcypxq = x_bchw.reshape(b, c, rows, cell, columns, cell)
    return x_bcypxq.permute(0, 2, 4, 3, 5, 1).reshape(b, rows * columns, cell * cell * c)


def unpatchify(x_bnd: Float[Tensor, "b n d"], cell: int, grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Undo `patchify` for a grid of (down, across) cells."""
    b, _, d = x_bnd.shape
    rows, columns = grid
    x_byxpqc = x_bnd.reshape(b, rows, columns, cell, cell, d // (cell * cell))
    return x_byxpqc.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, rows * cell, columns * cell)


def normalise_cells(x_bnd: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Return each cell minus its mean, over the root of its UNBIASED variance + 1e-6 (MAE's `norm_pix_loss`)."""
    return (x_bnd - x_bnd.mean(-1, keepdim=True)) / torch.sqrt(x_bnd.var(-1, keepdim=True) + 1e-6)


def denormalise_cells(x_bnd: Float[Tensor, "b n d"], true_bnd: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Undo `normalise_cells` with the mean and variance of the true pixels: for pictures, not for learning."""
    return x_bnd * torch.sqrt(true_bnd.var(-1, keepdim=True) + 1e-6) + true_bnd.mean(-1, keepdim=True)
