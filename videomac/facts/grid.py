"""The grid of mask cells: whole-number arithmetic without torch."""

from __future__ import annotations

from videomac.errors import ConfigError


def grid_of(height: int, width: int, cell: int) -> tuple[int, int]:
    """Return the number of cells down and across.

    Raises:
        ConfigError: the height or the width is not a multiple of the cell.
    """
    if height < cell or width < cell or height % cell or width % cell:
        fitting = f"{max(1, height // cell) * cell}x{max(1, width // cell) * cell}"
        raise ConfigError(f"{height}x{width} is not a multiple of model.cell = {cell}; use {fitting}")
    return height // cell, width // cell


def visible_count(cells: int, mask_ratio: float) -> int:
    """Return how many cells stay visible: int(cells * (1 - mask_ratio)), as the published code computes it.

    Raises:
        ConfigError: none or all of the cells would be visible.
    """
    keep = int(cells * (1 - mask_ratio))
    if not 1 <= keep < cells:
        raise ConfigError(
            f"{mask_ratio} of {cells} cells keeps int({cells} * (1 - {mask_ratio})) = {keep} visible; "
            f"expected 1 to {cells - 1}"
        )
    return keep
