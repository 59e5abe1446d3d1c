"""Rows of the plan become pairs of frames: draw the times, decode, crop, flip, resize.

Everything here is a function of (recipe, sample, slots): no state, no worker, no clock.
Shape letters: n slots, 2 frames of a pair (the earlier first), t frames of a clip, h w pixels, 3 colours, k visible
cells.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from videomac.config import Data
from videomac.data import augment, draws
from videomac.data.clip import Clip
from videomac.data.open_clip import open_clip
from videomac.data.recipe import Recipe
from videomac.data.status import BadClip, Code
from videomac.records.decoding import Slot
from videomac.records.shards import Sample
from videomac.storage.entries import Content

ATTEMPTS = 8
"""Draws of two times before a row is bad with `no_pair`."""
PAPER_FPS = 6.0
"""The published data: neighbouring frames of footage sampled at 6 fps."""
TIME_SLACK_S = 1e-6
"""Times are sums of floating-point numbers: a frame this little after t counts as shown at t."""


@dataclasses.dataclass
class Pairs:
    """What one opened clip gave: pixels and status of each slot, and the seconds it took."""

    frames_n2hw3: UInt8[np.ndarray, "n 2 h w 3"]
    code_n: Int64[np.ndarray, " n"]
    decode_s: float = 0.0
    resize_s: float = 0.0

    @classmethod
    def bad(cls, count: int, image_size: tuple[int, int], code: Code) -> Pairs:
        """Return black frames and one status for every slot."""
        return cls(np.zeros((count, 2, *image_size, 3), np.uint8), np.full(count, code, np.int64))


def slots_of(duration_s: Float64[np.ndarray, " c"], data: Data) -> Int64[np.ndarray, " c"]:
    """Return the pairs per epoch of clips of these durations: always a multiple of `pairs_per_open`."""
    if data.pair_sampling == "neighbours_6fps":
        frames = np.ceil(duration_s * PAPER_FPS - TIME_SLACK_S)
        return np.maximum(frames - 1, 1).astype(np.int64)
    openings = np.rint(duration_s * data.pairs_per_second / data.pairs_per_open)
    return data.pairs_per_open * np.maximum(openings, 1).astype(np.int64)


def make_pairs(recipe: Recipe, sample: Sample, content: Content, slots: Sequence[Slot]) -> Pairs:
    """Open the clip once and take a pair for every slot; a bad clip raises nothing, the statuses say why."""
    pairs = Pairs.bad(len(slots), recipe.image_size, Code.NO_PAIR)
    start = time.perf_counter()
    try:
        opened = open_clip(content, sample.kind, sample.fps, recipe.decoder, recipe.bounds)
        try:
            _fill(recipe, sample, opened, slots, pairs)
        finally:
            opened.close()
    except BadClip as bad:
        pairs = Pairs.bad(len(slots), recipe.image_size, bad.code)
    pairs.decode_s = time.perf_counter() - start - pairs.resize_s
    return pairs


def _fill(recipe: Recipe, sample: Sample, opened: Clip, slots: Sequence[Slot], pairs: Pairs) -> None:
    """Decode each wanted frame once, in ascending order, and write it wherever it is wanted."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for place, slot in enumerate(slots):
        numbers = draw_frames(recipe, sample, slot, opened.times_s)
        for which, number in enumerate(numbers or ()):
            wanted.setdefault(number, []).append((place, which))
        pairs.code_n[place] = Code.GOOD if numbers else Code.NO_PAIR
    for number, picture in opened.pictures(sorted(wanted)):
        start = time.perf_counter()
        for place, which in wanted[number]:
            pairs.frames_n2hw3[place, which] = _view(recipe, sample, slots[place], picture)
        pairs.resize_s += time.perf_counter() - start


def draw_frames(
    recipe: Recipe, sample: Sample, slot: Slot, times_s: Float64[np.ndarray, " t"]
) -> tuple[int, int] | None:
    """Return the numbers of a slot's two frames, the earlier first; None if eight draws gave no two frames.

    Slot j of n draws t uniformly in [j/n, (j+1)/n) of (duration - gap); the frame at time t is the last shown by then.
    """
    for attempt in range(ATTEMPTS):
        if recipe.pair_sampling == "neighbours_6fps":
            t, gap = slot.index / PAPER_FPS, 1 / PAPER_FPS
        else:
            rng = draws.generator(recipe.seed, slot.epoch, sample.key, slot.index, "time", attempt)
            gap = rng.uniform(*recipe.gap_s)
            t = (slot.index + rng.random()) / slot.count * (sample.duration_s - gap)
        if t < 0 or t + gap > sample.duration_s + TIME_SLACK_S:
            continue
        moments = np.array([t, t + gap]) + TIME_SLACK_S
        first, second = np.searchsorted(times_s, moments, side="right") - 1
        if first != second:
            return int(first), int(second)
    return None


def _view(
    recipe: Recipe, sample: Sample, slot: Slot, picture_hw3: UInt8[np.ndarray, "_ _ 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the crop and flip of this slot; the same draws give the same view of both frames."""
    rng = draws.generator(recipe.seed, slot.epoch, sample.key, slot.index, "crop")
    box = augment.crop_box(rng, picture_hw3.shape[1], picture_hw3.shape[0], recipe.augment)
    flip_rng = draws.generator(recipe.seed, slot.epoch, sample.key, slot.index, "flip")
    flip = bool(flip_rng.random() < recipe.augment.flip)
    return augment.crop_and_resize(picture_hw3, box, flip, recipe.image_size, recipe.downscale_first)


def cells_and_seed(recipe: Recipe, key: str, slot: Slot) -> tuple[Int64[np.ndarray, " k"], int]:
    """Return the visible cells (k,) of both frames of a row, and the seed of its drop path."""
    rng = draws.generator(recipe.seed, slot.epoch, key, slot.index, "mask")
    cells_k = draws.visible_cells(rng, recipe.cell_count, recipe.visible_count)
    return cells_k, draws.seed64(recipe.seed, slot.epoch, key, slot.index, "drop_path")
