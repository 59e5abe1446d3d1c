"""One random crop and flip for both frames of a pair, and the resize to the network's input.

Shape letters: h w pixels, 3 colours.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from videomac.config import Augment

Box = tuple[int, int, int, int]
"""Left, top, right, bottom of a crop, in pixels."""
TRIES = 10
"""Random crops that may stick out of the frame before the centred one is taken: torchvision's number."""


def crop_box(rng: np.random.Generator, width: int, height: int, augment: Augment) -> Box:
    """Draw a crop as torchvision's RandomResizedCrop does: uniform area share, log-uniform aspect ratio.

    After ten tries that do not fit, the largest centred crop with an allowed aspect ratio is taken
    (`torchvision.transforms.RandomResizedCrop.get_params`).
    """
    log_ratio = np.log(augment.ratio)
    for _ in range(TRIES):
        area = width * height * rng.uniform(*augment.scale)
        aspect = math.exp(rng.uniform(*log_ratio))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    aspect = min(max(width / height, augment.ratio[0]), augment.ratio[1])
    w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def crop_and_resize(
    frame_hw3: UInt8[np.ndarray, "_ _ 3"], box: Box, flip: bool, image_size: tuple[int, int], downscale_first: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """Cut a crop out of a frame and resize it to (height, width): PIL's antialiased bicubic, then the flip.

    With `downscale_first` a crop of at least twice the output size is first averaged over whole blocks of pixels,
    never below twice the output (PIL's `reducing_gap`): several times faster on large frames.
    """
    left, top, right, bottom = box
    crop = Image.fromarray(frame_hw3[top:bottom, left:right])
    height, width = image_size
    resized = crop.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0 if downscale_first else None)
    return np.asarray(resized)[:, ::-1] if flip else np.asarray(resized)
