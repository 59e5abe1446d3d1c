"""The grid of mask cells: whole-number arithmetic without torch."""

from __future__ import annotations

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
