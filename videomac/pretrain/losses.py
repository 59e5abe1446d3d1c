"""The three losses of VideoMAC, as sums over masked cells: the step divides them by the cells of all workers.

Shape letters: b pairs, n cells, m masked cells, k visible cells, d pixel values of a cell, c channels, h w pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videomac.nn.masking import cells_to_visible
from videomac.nn.patches import normalise_cells, patchify


class PairErrors(NamedTuple):
    """Per pair: the sum over its masked cells of the mean squared error per cell, float32."""

    online_b: Float[Tensor, " b"]
    """Online prediction of frame 1 against its pixels: L_o."""
    target_b: Float[Tensor, " b"]
    """Target network's prediction of frame 2 against its pixels: L_t, a figure to watch; it carries no gradient."""
    consistency_b: Float[Tensor, " b"]
    """Online prediction of frame 1 against the detached target prediction of frame 2: L_c."""


def masked_cells(cells_bk: Int[Tensor, "b k"], n: int) -> Int[Tensor, "b m"]:
    """Return the cells that are not visible, ascending; the shape is static, so nothing waits for the device."""
    visible_bn = cells_to_visible(cells_bk, n)
    return visible_bn.to(torch.uint8).argsort(dim=1, stable=True)[:, : n - cells_bk.shape[1]]


def select_cells(x_bnd: Float[Tensor, "b n d"], cells_bm: Int[Tensor, "b m"]) -> Float[Tensor, "b m d"]:
    """Select cells; unlike a multiplication by zero, no NaN of another cell can reach the loss."""
    b, n, _ = x_bnd.shape
    # Selects whole rows by number, which on CPU is several times faster than gathering elements.
    row_bm = cells_bm + torch.arange(0, b * n, n, device=cells_bm.device)[:, None]
    return x_bnd.flatten(0, 1).index_select(0, row_bm.flatten()).unflatten(0, cells_bm.shape)


def cell_targets(
    frame_bchw: Float[Tensor, "b c h w"], cells_bm: Int[Tensor, "b m"], cell: int, normalised: bool
) -> Float[Tensor, "b m d"]:
    """Return the targets of the masked cells: their pixels, normalized per cell (MAE's `norm_pix_loss`)."""
    pixels_bmd = select_cells(patchify(frame_bchw.float(), cell), cells_bm)
    return normalise_cells(pixels_bmd) if normalised else pixels_bmd


def cell_errors(a_bmd: Float[Tensor, "b m d"], b_bmd: Float[Tensor, "b m d"]) -> Float[Tensor, " b"]:
    """Return the mean squared error per cell, summed over the pair's masked cells."""
    return (a_bmd - b_bmd).square().mean(-1).sum(-1)


def pair_errors(
    online_bnd: Float[Tensor, "b n d"],
    target_bnd: Float[Tensor, "b n d"],
    frame1_bchw: Float[Tensor, "b c h w"],
    frame2_bchw: Float[Tensor, "b c h w"],
    cells_bk: Int[Tensor, "b k"],
    cell: int,
    normalised: bool = True,
) -> PairErrors:
    """Return L_o, L_t and L_c of each pair (VideoMAC, CVPR 2024, eq. 3-6), in float32 whatever the predictions' dtype.

    The published code adds L_t to the total although it is computed under `no_grad`; here it has a name of its own.
    """
    cells_bm = masked_cells(cells_bk, online_bnd.shape[1])
    online_bmd = select_cells(online_bnd, cells_bm).float()
    target_bmd = select_cells(target_bnd.detach(), cells_bm).float()
    with torch.no_grad():
        target_error_b = cell_errors(target_bmd, cell_targets(frame2_bchw, cells_bm, cell, normalised))
    return PairErrors(
        cell_errors(online_bmd, cell_targets(frame1_bchw, cells_bm, cell, normalised)),
        target_error_b,
        cell_errors(online_bmd, target_bmd),
    )
