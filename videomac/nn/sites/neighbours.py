"""Tables that say which packed sites lie around a site: what every kernel larger than one site is computed from.

A table holds numbers of packed sites, counted through the batch: 0 to b * k * t * t - 1. The number after the last one
stands for a site of zeros, so that hidden sites and the image's edge need no special case. `gather` lays the sites out
as the table says: as one canvas per sample, as tiles with their halo, or as the sites below each tap of a kernel.

Shape letters: b batch, k visible cells, n all cells of the grid, or b * k tiles, t sites along one side of a cell,
r = b * k * t * t packed sites of the batch, h w sites of the canvas, y x sites of a tile with its halo, u sites along
one side of a cell after a stride, p taps along one side of a kernel, c channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from videomac.nn.masking import Grid


def gather(
    x_bkttc: Float[Tensor, "b k t t c"], table: Shaped[Tensor, "..."], fill: float = 0.0
) -> Float[Tensor, "... c"]:
    """Return the packed sites in the table's shape; site r (one past the last) holds `fill`."""
    x_rc = x_bkttc.reshape(-1, x_bkttc.shape[-1])
    padded_rc = torch.cat([x_rc, x_rc.new_full((1, x_rc.shape[1]), fill)])
    return padded_rc.index_select(0, table.reshape(-1)).view(*table.shape, -1)


class Neighbours:
    """The tables of one batch, each made when it is first asked for."""

    def __init__(self, cells_bk: Int64[Tensor, "b k"], grid: Grid):
        self.cells_bk, self.grid = cells_bk, grid
        self._made: dict[tuple[object, ...], Int64[Tensor, "..."]] = {}

    def _once(self, make: Callable[..., Int64[Tensor, "..."]], *settings: int) -> Int64[Tensor, "..."]:
        """Return the table that `make` gives for these settings."""
        key = (make.__name__, *settings)
        if key not in self._made:
            self._made[key] = make(*settings)
        return self._made[key]

    def _ranks(self) -> Int64[Tensor, "b n"]:
        """Return each cell's place among the visible ones of its sample; k if it is hidden."""
        b, k = self.cells_bk.shape
        none_bn = self.cells_bk.new_full((b, self.grid[0] * self.grid[1]), k)
        return none_bn.scatter(1, self.cells_bk, torch.arange(k, device=self.cells_bk.device).expand(b, k))

    def _numbers(self, row: Int64[Tensor, "b ..."], column: Int64[Tensor, "b ..."], t: int) -> Int64[Tensor, "b ..."]:
        """Return the numbers of the packed sites at these places of the map; r where nothing is visible."""
        b, k = self.cells_bk.shape
        down, across = self.grid
        inside = (row >= 0) & (row < down * t) & (column >= 0) & (column < across * t)
        cell = torch.where(inside, row // t * across + column // t, 0)
        ranks_bn = self._once(self._ranks)
        rank = ranks_bn.gather(1, cell.flatten(1)).view_as(cell)
        sample = torch.arange(b, device=cell.device).view(-1, *[1] * (cell.ndim - 1))
        number = ((sample * k + rank) * t + row % t) * t + column % t
        return torch.where(inside & (rank < k), number, b * k * t * t)

    def canvas(self, t: int) -> Int64[Tensor, "b h w"]:
        """Return the table of the whole map of each sample."""
        return self._once(self._make_canvas, t)

    def _make_canvas(self, t: int) -> Int64[Tensor, "b h w"]:
        b, device = self.cells_bk.shape[0], self.cells_bk.device
        row_h = torch.arange(self.grid[0] * t, device=device)
        column_w = torch.arange(self.grid[1] * t, device=device)
        return self._numbers(row_h.view(1, -1, 1).expand(b, -1, len(column_w)), column_w.expand(b, len(row_h), -1), t)

    def sites(self, t: int) -> Int64[Tensor, " r"]:
        """Return where each packed site lies among the b * h * w sites of the canvases: the way back from `canvas`."""
        return self._once(self._make_sites, t)

    def _make_sites(self, t: int) -> Int64[Tensor, " r"]:
        down, across = self.grid
        row, column = self.corner(t)
        inside = torch.arange(t, device=row.device)
        sample = torch.arange(len(row), device=row.device).view(-1, 1, 1, 1)
        place = (sample * down * t + row + inside.view(-1, 1)) * across * t + column + inside
        return place.flatten()

    def tiles(self, t: int, reach: int) -> Int64[Tensor, "n y x"]:
        """Return the table of each visible cell with `reach` sites around it."""
        return self._once(self._make_tiles, t, reach)

    def _make_tiles(self, t: int, reach: int) -> Int64[Tensor, "n y x"]:
        row, column = self.corner(t)
        around = torch.arange(-reach, t + reach, device=row.device)
        row, column = torch.broadcast_tensors(row + around.view(-1, 1), column + around)
        return self._numbers(row, column, t).flatten(0, 1)

    def taps(self, t: int, side: int, stride: int, dilation: int, before: int) -> Int64[Tensor, "b k u u pp"]:
        """Return for each output site the sites under the kernel's taps, row by row.

        `side` is the kernel's, `before` the padding above and to the left.
        """
        return self._once(self._make_taps, t, side, stride, dilation, before)

    def _make_taps(self, t: int, side: int, stride: int, dilation: int, before: int) -> Int64[Tensor, "b k u u pp"]:
        row, column = (place.unsqueeze(-1) for place in self.corner(t))
        first = torch.arange(0, t, stride, device=row.device) - before
        tap = torch.arange(side, device=row.device) * dilation
        row, column = torch.broadcast_tensors(
            row + first.view(-1, 1, 1) + tap.repeat_interleave(side),
            column + first.view(1, -1, 1) + tap.repeat(side),
        )
        return self._numbers(row, column, t)

    def corner(self, t: int) -> tuple[Int64[Tensor, "b k 1 1"], Int64[Tensor, "b k 1 1"]]:
        """Return row and column of each visible cell's first site, in sites."""
        cells = self.cells_bk.unsqueeze(-1).unsqueeze(-1)
        return cells // self.grid[1] * t, cells % self.grid[1] * t
