"""Pictures on the pages: label maps over frames, reconstructions beside their inputs.

Shapes: t frames, h w pixels, 3 channels (RGB, uint8); label maps are uint8 ids, 0 is background, 255 is unlabelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from videomac.report.page import image_data_uri

# Colours of objects, repeated after the last one; distinct on most footage and with common colour vision deficiencies.
PALETTE = np.array(
    [[38, 150, 255], [255, 92, 57], [255, 205, 56], [46, 196, 130], [196, 108, 255], [255, 130, 190]], dtype=np.uint8
)
UNLABELLED = 255


Strip = Sequence[tuple[str, str]]
"""Pictures side by side: (`data:` URI, caption)."""


@dataclass(frozen=True)
class Reconstruction:
    """One pair of a reconstruction picture: a strip for each of its two frames."""

    frames: Sequence[Strip]


@dataclass(frozen=True)
class Propagation:
    """One clip: the truth and the prediction of each candidate (name, strip of frames)."""

    clip: str
    rows: Sequence[tuple[str, Strip]]


def overlay(frame_hwc: np.ndarray, labels_hw: np.ndarray, opacity: float = 0.45) -> np.ndarray:
    """Return a frame with each object tinted in its colour and outlined; background and unlabelled pixels unchanged.

    `labels_hw` may be smaller or larger than the frame: nearest neighbour brings it to the frame's size.
    """
    labels = _to_size(labels_hw, frame_hwc.shape[:2])
    objects = (labels > 0) & (labels != UNLABELLED)
    colours = PALETTE[(labels.astype(np.int64) - 1) % len(PALETTE)]
    tinted = frame_hwc + opacity * (colours.astype(np.float64) - frame_hwc)
    drawn = np.where(objects[..., None], tinted.round().astype(np.uint8), frame_hwc)
    drawn[_outline(labels) & objects] = colours[_outline(labels) & objects]
    return drawn


def reconstructions(arrays: Mapping[str, np.ndarray], limit: int = 6) -> list[Reconstruction]:
    """Return the first pairs of a pictures file (uint8 (N, 2, H, W, 3) by name) as strips for the page."""
    captions = {
        "input": "input",
        "visible": "visible cells",
        "online": "online network",
        "target": "target network",
    }
    pairs = min(limit, len(arrays["input"]))
    return [
        Reconstruction(
            [[(image_data_uri(arrays[key][i, f]), text) for key, text in captions.items()] for f in range(2)]
        )
        for i in range(pairs)
    ]


def propagation(clip: str, arrays: Mapping[str, np.ndarray], labels: Sequence[str]) -> Propagation:
    """Return a clip's pictures file as strips: frames from left to right, truth first, then each of `labels`."""
    rows = [("truth", "truth"), *((f"prediction_{i}", label) for i, label in enumerate(labels))]
    drawn = [(label, drawn_frames(arrays, key)) for key, label in rows]
    captions = [f"frame {at}" for at in arrays["frame_ids"]]
    return Propagation(clip, [(label, _strip(frames, captions)) for label, frames in drawn if frames])


def drawn_frames(arrays: Mapping[str, np.ndarray], key: str) -> list[np.ndarray]:
    """Return a clip's frames with the label maps `key` over them, or as the file has them drawn (`drawn_KEY`)."""
    if f"drawn_{key}" in arrays:
        return list(arrays[f"drawn_{key}"])
    return [overlay(frame, labels) for frame, labels in zip(arrays["frames"], arrays.get(key, ()), strict=False)]


def _strip(frames: Sequence[np.ndarray], captions: Sequence[str]) -> Strip:
    return [(image_data_uri(frame), caption) for frame, caption in zip(frames, captions, strict=True)]


def _to_size(labels_hw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = np.arange(size[0]) * labels_hw.shape[0] // size[0]
    columns = np.arange(size[1]) * labels_hw.shape[1] // size[1]
    return labels_hw[rows[:, None], columns]


def _outline(labels_hw: np.ndarray) -> np.ndarray:
    """Return the pixels with another label in their 3 x 3 neighbourhood."""
    return ndimage.maximum_filter(labels_hw, 3) != ndimage.minimum_filter(labels_hw, 3)
