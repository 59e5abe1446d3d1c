"""What a folder of images says of itself: size, gaps in its numbers, and whether its pixels can be shown."""

from __future__ import annotations

import itertools
import os
import re
import statistics
from collections.abc import Sequence

import numpy as np
from PIL import Image

from videomac.config import Bounds
from videomac.data.frames_clip import MOST_16_BIT, image_treatments, is_16_bit, opened_image, rgb_of
from videomac.data.status import BadClip, Code
from videomac.facts.media import Treatment

LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")
MOST_STEPS = 1.5
"""Distance of neighbours, in usual distances, beyond which numbers are missing."""
LEAST_SPAN = MOST_16_BIT // 8
"""Values that 16-bit images must span: scaled by their full range, less would be a few greys."""


def look(files: Sequence[str], bounds: Bounds) -> tuple[int, int, tuple[Treatment, ...]]:
    """Return width and height of the first image as it is shown, and what is done to show it.

    Raises:
        BadClip: the image cannot be decoded, exceeds a bound, or 16 bits are used in a narrow range.
    """
    with opened_image(files[0], os.path.basename(files[0]), bounds) as image:
        treatments, deep = image_treatments(image), is_16_bit(image)
        height, width, _ = rgb_of(image).shape
    if deep:
        _check_span(files, bounds)
    return width, height, tuple(treatment for treatment in Treatment if treatment in treatments)


def _check_span(files: Sequence[str], bounds: Bounds) -> None:
    spans = []
    for file in (files[0], files[len(files) // 2], files[-1]):
        with opened_image(file, os.path.basename(file), bounds) as image:
            spans.append(_span(image))
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    if high - low < LEAST_SPAN:
        raise BadClip(
            Code.BROKEN,
            f"16-bit images whose values lie within {low} to {high} of 0 to {MOST_16_BIT}: nearly one grey in 8 bits; "
            "scale them to 8 bits yourself",
        )


def _span(image: Image.Image) -> tuple[int, int]:
    values = np.asarray(image)
    return int(values.min()), int(values.max())


def consecutive(files: Sequence[str]) -> list[range]:
    """Return the ranges of files whose numbers follow one another at the usual distance; one if names have none."""
    numbers = [_number(file) for file in files]
    known = [number for number in numbers if number is not None]
    steps = [b - a for a, b in itertools.pairwise(known)]
    if len(known) < len(files) or not steps or min(steps) <= 0:
        return [range(len(files))]
    most = MOST_STEPS * statistics.median(steps)
    cuts = [0, *(place for place, step in enumerate(steps, start=1) if step > most), len(files)]
    return [range(first, end) for first, end in itertools.pairwise(cuts)]


def _number(file: str) -> int | None:
    found = LAST_NUMBER.search(os.path.splitext(os.path.basename(file))[0])
    return int(found[1]) if found else None
