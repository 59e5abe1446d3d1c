"""Which cells are visible, and where their sites lie in a feature map.

Shape letters: b batch, n all cells of the grid (row by row), k visible cells, t sites along one side of a cell,
h w sites of the whole map, s = k * t * t packed sites, c channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

Grid = tuple[int, int]
"""Cells down and across."""


def cells_to_visible(cells_bk: Int64[Tensor, "b k"], cell_count: int) -> Bool[Tensor, "b n"]:
    """Return True where a cell is visible; `cell_count` is the number of cells in the grid."""
    visible_bn = torch.zeros(cells_bk.shape[0], cell_count, dtype=torch.bool, device=cells_bk.device)
    return visible_bn.scatter(1, cells_bk, True)


def visible_sites(cells_bk: Int64[Tensor, "b k"], grid: Grid, t: int) -> Bool[Tensor, "b h w"]:
    """Return True at the sites of visible cells, in a map with t x t sites per cell."""
    visible_byx = cells_to_visible(cells_bk, grid[0] * grid[1]).unflatten(1, grid)
    return visible_byx.repeat_interleave(t, 1).repeat_interleave(t, 2)


def all_cells(batch: int, grid: Grid, device: torch.device | str = "cpu") -> Int64[Tensor, "b n"]:
    """Return the cells of a batch in which every cell is visible."""
    return torch.arange(grid[0] * grid[1], device=device).expand(batch, -1)


def site_index(cells_bk: Int64[Tensor, "b k"], grid: Grid, t: int) -> Int64[Tensor, "b s"]:
    """Return for each packed site, in the order (k, y, x), its place y * w + x in the map of h x w sites."""
    across = grid[1]
    inside = torch.arange(t, device=cells_bk.device)
    row_bkt = (cells_bk // across * t).unsqueeze(-1) + inside
    column_bkt = (cells_bk % across * t).unsqueeze(-1) + inside
    return (row_bkt.unsqueeze(-1) * (across * t) + column_bkt.unsqueeze(-2)).flatten(1)


def pack(x_bhwc: Shaped[Tensor, "b h w c"], cells_bk: Int64[Tensor, "b k"], grid: Grid) -> Shaped[Tensor, "b k t t c"]:
    """Return the visible cells of a map, one after another."""
    b, _, w, c = x_bhwc.shape
    t = w // grid[1]
    index_bs = site_index(cells_bk, grid, t)
    sample_b1 = torch.arange(b, device=cells_bk.device).unsqueeze(1)
    return x_bhwc.flatten(1, 2)[sample_b1, index_bs].reshape(b, -1, t, t, c)


def unpack(
    x_bkttc: Shaped[Tensor, "b k t t c"], cells_bk: Int64[Tensor, "b k"], grid: Grid
) -> Shaped[Tensor, "b h w c"]:
    """Return a map with zeros in the hidden cells: the inverse of `pack` on the visible ones."""
    b, _, t, _, c = x_bkttc.shape
    index_bs = site_index(cells_bk, grid, t)
    x_bqc = x_bkttc.new_zeros(b, grid[0] * grid[1] * t * t, c)
    sample_b1 = torch.arange(b, device=cells_bk.device).unsqueeze(1)
    return x_bqc.index_put((sample_b1, index_bs), x_bkttc.flatten(1, 3)).reshape(b, grid[0] * t, grid[1] * t, c)
