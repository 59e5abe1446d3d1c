"""Masks as people have them: label ids read from palette, grey, 1-bit, 16-bit and coloured PNGs.

An id is a value of the file. The objects of a clip are the ids of its first mask; no id in between is invented. 255 is
void (ignored) beside other ids, and the object where it is alone, as in DAVIS 2016. The colours of an RGB mask are
those of DAVIS's palette. What cannot be read as ids without a guess is refused.

Shape letters: h w pixels, c colour channels, n ids or colours.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from videomac.errors import EvaluationError

VOID = 255
READ = "expected an indexed or grey PNG whose values are ids, or one in the colours of DAVIS's palette"


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of a clip of masks, as its first mask has them."""

    ids: tuple[int, ...]
    """Their ids, ascending; 1 for the object of a mask whose only value beside 0 is 255."""
    size: tuple[int, int]
    """Height and width of the first mask."""
    is_binary: bool = False
    """Whether 255 is the object, and not void."""
    has_void: bool = False
    """Whether 255 is void."""

    def named(self, ids_hw: np.ndarray) -> np.ndarray:
        """Return ids of a file, the object's 255 as 1."""
        return (ids_hw == VOID).astype(np.uint8) if self.is_binary else ids_hw

    def channels(self, ids_hw: np.ndarray) -> np.ndarray:
        """Return label channels 1, 2, ... for the objects, and 0 for everything else."""
        table_n = np.zeros(256, np.uint8)
        table_n[list(self.ids)] = np.arange(1, len(self.ids) + 1)
        return table_n[ids_hw]

    def restored(self, channels_hw: np.ndarray) -> np.ndarray:
        """Return the objects' ids for label channels."""
        return np.array([0, *self.ids], np.uint8)[channels_hw]

    @property
    def note(self) -> str | None:
        """What an unusual mask was taken for; None for ids that count 1, 2, ... without void."""
        if self.is_binary:
            return "255 is the only value of the first mask beside 0: taken for the one object"
        kept = f"objects {', '.join(map(str, self.ids))}"
        if self.has_void:
            return f"{kept}; 255 beside other ids is void and counts as background"
        skips = self.ids != tuple(range(1, len(self.ids) + 1))
        return f"{kept}: only ids that the first mask has are scored" if skips else None


def find_objects(path: Path, are_classes: bool) -> Objects:
    """Return the objects of a clip from its first mask; where ids are classes, 255 is always void.

    Raises:
        EvaluationError: it cannot be read as ids, or holds background only.
    """
    ids_hw = read_ids(path, are_classes)
    size = ids_hw.shape[0], ids_hw.shape[1]
    found = {int(value) for value in np.unique(ids_hw)} - {0}
    ids = tuple(sorted(found - {VOID}))
    if not ids and (are_classes or not found):
        raise EvaluationError(
            f"{path}: the first labels hold no object, only background: nothing to carry; remove the masks before the "
            "first one with an object"
        )
    return Objects(ids, size, has_void=VOID in found) if ids else Objects((1,), size, is_binary=True)


def read_ids(path: Path, are_classes: bool) -> np.ndarray:
    """Return the label ids of a mask, uint8 (H, W), upright as its EXIF tag says.

    Raises:
        EvaluationError: it is missing or unreadable, its values cannot be read as ids, or (unless they are classes)
            its grey values are soft edges.
    """
    ids_hw, is_grey = _read(path)
    soft = _soft_values(ids_hw) if is_grey and not are_classes else []
    if soft:
        raise EvaluationError(
            f"{path}: soft edges: {len(soft)} grey values ({', '.join(map(str, soft[:4]))}, ...) lie only along edges; "
            "expected one value per object: threshold the masks (for example at 128) and save them again"
        )
    return ids_hw


@functools.cache
def davis_palette() -> np.ndarray:
    """Return DAVIS's 256 colours, uint8 (256, 3): PASCAL VOC's, bits of the id spread over the channels."""
    ids_n = np.arange(256)
    channels = [
        sum(((ids_n >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))  # 8 bits: 3 per channel
        for channel in range(3)
    ]
    return np.stack(channels, 1).astype(np.uint8)


def _read(path: Path) -> tuple[np.ndarray, bool]:
    """Return ids, and whether the file is a grey image, whose values may be anything."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            mode, pixels = image.mode, np.array(image)
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: annotation missing") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EvaluationError(f"{path}: annotation cannot be read ({error})") from error
    if mode in ("P", "1"):
        return pixels.astype(np.uint8), False
    if mode in ("L", "I") or mode.startswith("I;16"):
        return _grey_ids(path, pixels), True
    if mode == "LA":
        return _opaque(path, pixels[..., 1], pixels[..., 0]), True
    if mode in ("RGB", "RGBA"):
        ids_hw, is_grey = _coloured_ids(path, pixels[..., :3], pixels[..., 3] if mode == "RGBA" else None)
        return ids_hw, is_grey
    raise EvaluationError(f"{path}: mode {mode}; {READ}")


def _grey_ids(path: Path, values_hw: np.ndarray) -> np.ndarray:
    """Return ids of grey values of 8 or 16 bits; 8 bits that were stretched to 16 (times 257) shrink again."""
    highest, lowest = int(values_hw.max(initial=0)), int(values_hw.min(initial=0))
    if highest > VOID and not (values_hw % 257).any():
        values_hw, highest = values_hw // 257, highest // 257
    if lowest < 0 or highest > VOID:
        raise EvaluationError(
            f"{path}: label id {highest if highest > VOID else lowest}; ids are 1 to 254 (0 is background, 255 void)"
        )
    return values_hw.astype(np.uint8)


def _coloured_ids(path: Path, rgb_hwc: np.ndarray, alpha_hw: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """Return the ids of DAVIS's colours, or grey values; and whether they are grey values."""
    if alpha_hw is not None:
        rgb_hwc = _opaque(path, alpha_hw, rgb_hwc)
    numbers_hw = _colour_numbers(rgb_hwc)
    by_number = {int(number): i for i, number in enumerate(_colour_numbers(davis_palette()))}
    found_n, places = np.unique(numbers_hw, return_inverse=True)
    other = [int(number) for number in found_n if int(number) not in by_number]
    if not other:
        ids_n = np.array([by_number[int(number)] for number in found_n], np.uint8)
        return ids_n[places.reshape(numbers_hw.shape)], False
    if (rgb_hwc == rgb_hwc[..., :1]).all():
        return rgb_hwc[..., 0].copy(), True
    raise EvaluationError(
        f"{path}: {len(other)} of its {len(found_n)} colours are not in DAVIS's palette, for example #{other[0]:06x}; "
        f"{READ}"
    )


def _colour_numbers(rgb_nc: np.ndarray) -> np.ndarray:
    return (rgb_nc.astype(np.int64) * (65536, 256, 1)).sum(-1)


def _opaque(path: Path, alpha_hw: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return pixels with 0 where they are transparent.

    Raises:
        EvaluationError: some are neither transparent nor opaque.
    """
    between = int(np.count_nonzero((alpha_hw > 0) & (alpha_hw < 255)))
    if between:
        raise EvaluationError(
            f"{path}: {between} pixels are half transparent; expected alpha 0 (background) or 255: save the masks "
            "without an alpha channel"
        )
    return np.where(alpha_hw.reshape(alpha_hw.shape + (1,) * (pixels.ndim - 2)) == 0, 0, pixels).astype(np.uint8)


def _soft_values(ids_hw: np.ndarray) -> list[int]:
    """Return grey values that soft edges leave: they have no pixel whose eight neighbours have the same value.

    Ids that count 1, 2, ... are never taken for such values, however thin their objects are; other ids need to be
    three and the majority, or all those beside a solid 255.
    """
    values = {int(value) for value in np.unique(ids_hw)} - {0}
    solid = {int(value) for value in np.unique(_interior(ids_hw))}
    thin = sorted(values - solid - {VOID})
    if not thin or values - {VOID} == set(range(1, len(values - {VOID}) + 1)):
        return []
    many = len(thin) >= 3 and 2 * len(thin) > len(values)
    beside_255 = VOID in solid and set(thin) == values - {VOID}
    return thin if many or beside_255 else []


def _interior(ids_hw: np.ndarray) -> np.ndarray:
    """Return the values of the pixels whose eight neighbours have the same value, flat."""
    height, width = ids_hw.shape
    centre_hw = ids_hw[1:-1, 1:-1]
    same_hw = np.ones(centre_hw.shape, bool)
    for y in range(3):
        for x in range(3):
            same_hw &= ids_hw[y : max(y, height - 2 + y), x : max(x, width - 2 + x)] == centre_hw
    return centre_hw[same_hw]
