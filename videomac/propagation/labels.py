"""Labels, resized down to the feature grid and back up to pixels.

Shape letters: h w pixels or grid, l label channels (0 is background), j joints.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from videomac.facts.presets import Preset


def resize_ids(ids_hw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return label ids at (height, width), resized by PIL's nearest neighbour (pixel centres)."""
    if ids_hw.shape == size:
        return ids_hw
    return np.array(Image.fromarray(ids_hw).resize((size[1], size[0]), Image.Resampling.NEAREST))


def one_hot(ids_hw: np.ndarray, channels: int) -> Float[Tensor, "l h w"]:
    """Return label ids 0..channels-1 as float64 channels; other ids (void 255) get no channel."""
    return torch.from_numpy(np.stack([ids_hw == c for c in range(channels)]).astype(np.float64))


def down(ids_hw: np.ndarray, channels: int, grid: tuple[int, int], preset: Preset) -> Float[Tensor, "l y x"]:
    """Return ids at the size of the network's input as soft labels on the feature grid, by the preset's rule.

    `bilinear` resizes the one-hot channels with half-pixel centres and without antialiasing (OpenCV's INTER_LINEAR);
    `nearest` resizes the ids.
    """
    if preset.labels_down == "nearest":
        return one_hot(resize_ids(ids_hw, grid), channels)
    return F.interpolate(one_hot(ids_hw, channels)[None], size=grid, mode="bilinear", align_corners=False)[0]


def up(
    soft_lyx: Float[Tensor, "l y x"], native: tuple[int, int], entered: tuple[int, int], stride: int, preset: Preset
) -> np.ndarray:
    """Return soft labels on the feature grid as uint8 ids (height, width) at the size at which the preset scores.

    `native` is the size of the frames as they were read, `entered` that of the network's input. `preset.labels_up` says
    at which size the argmax over soft labels is taken; from there PIL's nearest neighbour resizes the ids.
    """
    if preset.labels_up == "stride_minmax":
        size = soft_lyx.shape[1] * stride, soft_lyx.shape[2] * stride
    else:
        size = native if preset.labels_up == "native_minmax" else entered
    soft_lhw = F.interpolate(soft_lyx[None], size=size, mode="bilinear", align_corners=False)[0]
    ids_hw = strongest(soft_lhw if preset.labels_up == "input" else minmax(soft_lhw)).cpu().numpy()
    return resize_ids(ids_hw, native if preset.scored_at == "native" else entered)


def strongest(soft_lhw: Float[Tensor, "l h w"]) -> UInt8[Tensor, "h w"]:
    """Return the channel with the largest value, the lowest of equal ones.

    This is `argmax(0)`, much faster for a few channels: torch 2.14 on CPU walks the channels of each pixel across
    memory, which takes 13 ms for 2 x 240 x 427 (one EPYC core, 2026-11-23).
    """
    best_hw, ids_hw = soft_lhw[0].clone(), torch.zeros_like(soft_lhw[0], dtype=torch.uint8)
    for channel, soft_hw in enumerate(soft_lhw[1:], start=1):
        ids_hw.masked_fill_(soft_hw > best_hw, channel)
        torch.maximum(best_hw, soft_hw, out=best_hw)
    return ids_hw


def minmax(soft_lhw: Float[Tensor, "l h w"]) -> Float[Tensor, "l h w"]:
    """Return each channel scaled to 0..1; one that is zero everywhere stays zero (DINO's and VFS's `norm_mask`)."""
    low_l11 = soft_lhw.amin((1, 2), keepdim=True)
    range_l11 = soft_lhw.amax((1, 2), keepdim=True) - low_l11
    scaled_lhw = (soft_lhw - low_l11) / torch.where(range_l11 > 0, range_l11, 1)
    return torch.where(soft_lhw.amax((1, 2), keepdim=True) > 0, scaled_lhw, soft_lhw)


def joint_maps(xy_j2: np.ndarray, present_j: np.ndarray, grid: tuple[int, int]) -> Float[Tensor, "l y x"]:
    """Return the background and one channel per joint: a Gaussian of sigma 0.5 sites at the joint, as in videowalk.

    `xy_j2` are grid coordinates. The published code draws a 4 x 4 patch of the Gaussian at an offset from the joint's
    truncated place, not centred to a fraction of a site, and so does this one. The background is 1 where all joints
    are 0.
    """
    maps_lyx = np.zeros((len(xy_j2) + 1, *grid))
    for channel, (place, present) in enumerate(zip(xy_j2, present_j, strict=True), start=1):
        if present:
            _draw(maps_lyx[channel], place)
    maps_lyx[0] = maps_lyx[1:].sum(0) == 0
    return torch.from_numpy(maps_lyx)


def _draw(map_yx: np.ndarray, place_xy: np.ndarray, sigma: float = 0.5) -> None:
    reach = 3 * sigma
    low = [int(v - reach) for v in place_xy]
    high = [int(v + reach + 1) for v in place_xy]
    height, width = map_yx.shape
    if low[0] >= width or low[1] >= height or high[0] < 0 or high[1] < 0:
        return
    side = np.arange(6 * sigma + 1)
    centre = (6 * sigma + 1) // 2
    patch = np.exp(-((side - centre) ** 2 + (side[:, None] - centre) ** 2) / (2 * sigma**2))
    left, top = max(0, low[0]), max(0, low[1])
    right, bottom = min(high[0], width), min(high[1], height)
    if right > left and bottom > top:
        map_yx[top:bottom, left:right] = patch[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]


def read_joints(soft_lyx: Float[Tensor, "l y x"]) -> tuple[np.ndarray, np.ndarray]:
    """Return grid coordinates (joints, 2) as x, y, and which joints exist.

    A joint is at the weighted mean of its three strongest sites. A joint without weight at any site does not exist; its
    coordinates are -1.
    """
    flat_jn = soft_lyx[1:].flatten(1)
    value_jk, site_jk = flat_jn.topk(min(3, flat_jn.shape[1]), dim=1)
    exists_j = flat_jn.sum(1) != 0
    weight_jk = value_jk / value_jk.sum(1, keepdim=True)
    width = soft_lyx.shape[2]
    xy_j2 = torch.stack([(site_jk % width * weight_jk).sum(1), (site_jk // width * weight_jk).sum(1)], 1)
    xy_j2 = torch.where(exists_j[:, None], xy_j2, -1.0)
    return xy_j2.cpu().numpy(), exists_j.cpu().numpy()
