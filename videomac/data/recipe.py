"""What the pixels and the visible cells of every row depend on: small, and sent as it is to the decoding process."""

from __future__ import annotations

from typing import Literal

from videomac.config import Augment, Bounds, Data, Model
from videomac.facts.grid import grid_of, visible_count
from videomac.records.base import Record


class Recipe(Record):
    """Everything that a row's pixels and cells depend on, besides the row itself."""

    seed: int
    """Seed of every draw."""
    cell_count: int
    """Cells of the mask grid."""
    visible_count: int
    """Cells of the grid that stay visible."""
    image_size: tuple[int, int]
    """Height and width of the crops, in pixels."""
    pair_sampling: Literal["uniform", "neighbours_6fps"]
    """How the times of the two frames are drawn: see `data.pair_sampling`."""
    gap_s: tuple[float, float]
    """Range of the time between the two frames, in seconds."""
    augment: Augment
    """Ranges of crop and flip."""
    downscale_first: bool
    """Whether a large crop is averaged over blocks of pixels before the resize."""
    decoder: Literal["pyav", "torchcodec"]
    """Which library decodes videos."""
    bounds: Bounds
    """What one clip may cost."""


def recipe_of(data: Data, model: Model, seed: int) -> Recipe:
    """Return the recipe of a configuration.

    Raises:
        ConfigError: the image is not a whole number of cells, or the mask ratio leaves none or all of them visible.
    """
    rows, columns = grid_of(*data.image_size, model.cell)
    return Recipe(
        seed=seed,
        cell_count=rows * columns,
        visible_count=visible_count(rows * columns, model.mask_ratio),
        image_size=data.image_size,
        pair_sampling=data.pair_sampling,
        gap_s=data.gap_s,
        augment=data.augment,
        downscale_first=data.downscale_first,
        decoder=data.decoder,
        bounds=data.bounds,
    )
