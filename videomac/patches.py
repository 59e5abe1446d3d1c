"""The grid of mask cells: its arithmetic, and images as one row of pixels per cell.

Shape letters: b batch, c channels, h w pixels, y x cells down and across, n = y * x cells (row by row), p side of a
cell in pixels, d = p * p * c pixel values of a cell in the order (row, column, channel).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videomac.errors import ConfigError


def grid_of(height: int, width: int, cell: int) -> tuple[int, int]:
    """Cells down and across.

    Raises:
        ConfigError: the image is no whole number of cells.
    """
    if height % cell or width % cell:
        whole = f"{max(1, height // cell) * cell}x{max(1, width // cell) * cell}"
        raise ConfigError(f"an image of {height}x{width} px is no whole number of {cell} px cells; make it {whole}")
    return height // cell, width // cell


def visible_count(cells: int, mask_ratio: float) -> int:
    """Cells that stay visible: int(cells * (1 - mask_ratio)), as the published code computes it.

    Raises:
        ConfigError: none or all of the cells would be visible.
    """
    keep = int(cells * (1 - mask_ratio))
    if not 1 <= keep < cells:
        raise ConfigError(f"mask_ratio {mask_ratio} leaves {keep} of {cells} cells visible; expected 1..{cells - 1}")
    return keep


def patchify(x_bchw: Float[Tensor, "b c h w"], cell: int) -> Float[Tensor, "b n d"]:
    """Each cell's pixels as one row, in the order (row, column, channel) of the published code's `patchify`."""
    b, c, h, w = x_bchw.shape
    rows, columns = grid_of(h, w, cell)
    x_bcypxq = x_bchw.reshape(b, c, rows, cell, columns, cell)
    return x_bcypxq.permute(0, 2, 4, 3, 5, 1).reshape(b, rows * columns, cell * cell * c)


def unpatchify(x_bnd: Float[Tensor, "b n d"], cell: int, grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """The inverse of `patchify` for a grid of (down, across) cells."""
    b, _, d = x_bnd.shape
    rows, columns = grid
    x_byxpqc = x_bnd.reshape(b, rows, columns, cell, cell, d // (cell * cell))
    return x_byxpqc.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, rows * cell, columns * cell)


def normalise_cells(x_bnd: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Each cell minus its mean, over the root of its UNBIASED variance + 1e-6 (as MAE's `norm_pix_loss`)."""
    return (x_bnd - x_bnd.mean(-1, keepdim=True)) / torch.sqrt(x_bnd.var(-1, keepdim=True) + 1e-6)


def denormalise_cells(x_bnd: Float[Tensor, "b n d"], true_bnd: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Undoes `normalise_cells` with the mean and variance of the true pixels: for pictures, not for learning."""
    return x_bnd * torch.sqrt(true_bnd.var(-1, keepdim=True) + 1e-6) + true_bnd.mean(-1, keepdim=True)
