"""Direct transcriptions of the published algorithms in their own chunking: tests and benchmarks compare ours with them.

Written from the algorithms of videowalk (`test.py`, Jabri et al. 2020), DINO (`eval_video_segmentation.py`, Caron et
al. 2021), VFS (`vanilla_tracker.py`, Xu & Wang 2021) and the DAVIS-2017 toolkit (`metrics.py`), as slow and plain
as they are. One thing is fixed that they leave to the library: among equal affinities `crw` and `vfs` keep the lowest
(frame, site), `dino` keeps all that equal the k-th value.

Shape letters: t frames, c features, h w grid, l labels, f context frames, n sites of the grid, m = f * n.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

try:
    import cv2  # pyright: ignore[reportMissingImports]  # what the toolkit dilates with
except ImportError:
    cv2 = None

QUERY_CHUNK = 100  # videowalk's `pbsize`


def crw(
    features_tchw: Tensor, first_lhw: Tensor, n: int = 20, radius: float = 12, k: int = 10, temperature: float = 0.05
) -> list[Tensor]:
    """Soft labels (l, h, w) of frames 1, 2, ...; equal affinities in order of (frame, site)."""
    labels = [first_lhw.to(features_tchw)]
    for t in range(1, len(features_tchw)):
        settings = {"n": n, "radius": radius, "k": k, "temperature": temperature}
        labels.append(crw_step(features_tchw[: t + 1], labels, **settings, in_order=True))
    return labels[1:]


def crw_step(
    features_tchw: Tensor,
    labels: list[Tensor],
    n: int = 20,
    radius: float = 12,
    k: int = 10,
    temperature: float = 0.05,
    in_order: bool = False,
) -> Tensor:
    """Soft labels of the last frame, given those of all before: frame 0 unmasked, then a queue padded with frame 0.

    `in_order` settles ties by a stable sort, for comparisons; the published code calls `topk`, which leaves them open.
    """
    _, _, height, width = features_tchw.shape
    t = len(features_tchw) - 1
    outside_nn = torch.where(_distance(height, width) < radius, 0.0, -1e10).to(features_tchw)
    context = [0, *(max(0, i) for i in range(t - n, t))]
    keys_fcn = torch.stack([features_tchw[i].flatten(1) for i in context])
    labels_lm = torch.cat([labels[i].flatten(1) for i in context], 1)
    parts = []
    for start in range(0, height * width, QUERY_CHUNK):
        chunk = slice(start, start + QUERY_CHUNK)
        affinity_fnq = torch.einsum("fcn,cq->fnq", keys_fcn, features_tchw[t].flatten(1)[:, chunk])
        affinity_fnq[1:] += outside_nn[:, chunk]
        affinity_mq = affinity_fnq.flatten(0, 1)
        affinity_mq /= temperature
        value_kq, index_kq = _sorted_topk(affinity_mq, k) if in_order else affinity_mq.topk(k, dim=0)
        parts.append((labels_lm[:, index_kq] * value_kq.softmax(0)).sum(1))
    return torch.cat(parts, 1).unflatten(1, (height, width))


def dino(
    features_tchw: Tensor, first_lhw: Tensor, n: int = 7, radius: int = 12, k: int = 5, temperature: float = 0.1
) -> list[Tensor]:
    """Soft labels (l, h, w) of frames 1, 2, ...; all affinities equal to the k-th are kept."""
    labels = [first_lhw.to(features_tchw)]
    for t in range(1, len(features_tchw)):
        labels.append(dino_step(features_tchw[: t + 1], labels, n, radius, k, temperature))
    return labels[1:]


def dino_step(
    features_tchw: Tensor, labels: list[Tensor], n: int = 7, radius: int = 12, k: int = 5, temperature: float = 0.1
) -> Tensor:
    """Soft labels of the last frame: frame 0 and the last n others, all inside the window.

    The published code makes the window's mask once per clip: it is kept here between calls as well.
    """
    _, channels, height, width = features_tchw.shape
    t = len(features_tchw) - 1
    context = [0, *range(max(1, t - n), t)]
    keys_fcn = torch.stack([features_tchw[i].flatten(1) for i in context])
    query_fnc = features_tchw[t].flatten(1).T.expand(len(context), -1, channels)
    affinity_fnn = torch.exp(torch.bmm(query_fnc, keys_fcn) / temperature)
    affinity_fnn *= _square(height, width, radius).to(features_tchw)
    affinity_mn = affinity_fnn.transpose(2, 1).reshape(-1, height * width)
    kth_n = affinity_mn.topk(k, dim=0).values.amin(0)
    affinity_mn[affinity_mn < kth_n] = 0
    affinity_mn = affinity_mn / affinity_mn.sum(0, keepdim=True)
    labels_ln = torch.cat([labels[i].flatten(1) for i in context], 1) @ affinity_mn
    return labels_ln.unflatten(1, (height, width))


def vfs(
    features_tchw: Tensor, first_lhw: Tensor, n: int = 20, radius: int = 12, k: int = 10, temperature: float = 0.07
) -> list[Tensor]:
    """Soft labels of frames 1, 2, ...: frame 0 and the last n frames (frame 0 among them while t <= n), windowed."""
    _, _, height, width = features_tchw.shape
    inside_nn = _square(height, width, radius)
    labels = [first_lhw.to(features_tchw).flatten(1)]
    for t in range(1, len(features_tchw)):
        context = [0, *range(max(0, t - n), t)]
        keys_fcn = torch.stack([features_tchw[i].flatten(1) for i in context])
        affinity_fnq = torch.einsum("fcn,cq->fnq", keys_fcn, features_tchw[t].flatten(1))
        affinity_mq = affinity_fnq.masked_fill(~inside_nn, -math.inf).flatten(0, 1)
        value_kq, index_kq = _sorted_topk(affinity_mq / temperature, k)
        labels_lm = torch.cat([labels[i] for i in context], 1)
        labels.append((labels_lm[:, index_kq] * value_kq.softmax(0)).sum(1))
    return [label.unflatten(1, (height, width)) for label in labels[1:]]


def window(name: str, height: int, width: int, radius: int = 12) -> Tensor:
    """The window of `crw` (as distances) or `dino` between all sites, kept for later calls."""
    return _distance(height, width) if name == "crw" else _square(height, width, radius)


def f_measure(prediction_hw: np.ndarray, truth_hw: np.ndarray) -> float:
    """The toolkit's boundary F: both boundary maps dilated by a disk over the whole image.

    The toolkit dilates with OpenCV where that is installed; it is used here as well, else `_dilate` does it by numpy.
    """
    void = np.zeros_like(truth_hw)
    radius = math.ceil(0.008 * np.linalg.norm(truth_hw.shape))
    prediction, truth = _seg2bmap(prediction_hw * np.logical_not(void)), _seg2bmap(truth_hw * np.logical_not(void))
    prediction_dilated, truth_dilated = _dilate(prediction, radius), _dilate(truth, radius)
    n_prediction, n_truth = prediction.sum(), truth.sum()
    if n_prediction == 0 or n_truth == 0:
        return float(n_prediction == n_truth)
    precision = (prediction * truth_dilated).sum() / float(n_prediction)
    recall = (truth * prediction_dilated).sum() / float(n_truth)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def iou(truth_hw: np.ndarray, prediction_hw: np.ndarray) -> float:
    """The toolkit's J of one frame."""
    void = np.zeros_like(truth_hw)
    shared = np.sum((prediction_hw & truth_hw) & np.logical_not(void), axis=(-2, -1))
    union = np.sum((prediction_hw | truth_hw) & np.logical_not(void), axis=(-2, -1))
    return 1.0 if np.isclose(union, 0) else float(shared / union)


def _seg2bmap(mask_hw: np.ndarray) -> np.ndarray:
    mask_hw = mask_hw.astype(bool)
    east, south, diagonal = (np.zeros_like(mask_hw) for _ in range(3))
    east[:, :-1] = mask_hw[:, 1:]
    south[:-1, :] = mask_hw[1:, :]
    diagonal[:-1, :-1] = mask_hw[1:, 1:]
    edge = mask_hw ^ east | mask_hw ^ south | mask_hw ^ diagonal
    edge[-1, :] = mask_hw[-1, :] ^ east[-1, :]
    edge[:, -1] = mask_hw[:, -1] ^ south[:, -1]
    edge[-1, -1] = 0
    return edge


def _dilate(edge_hw: np.ndarray, radius: int) -> np.ndarray:
    offset = np.arange(-radius, radius + 1)
    disk = (offset**2 + offset[:, None] ** 2 <= radius**2).astype(np.uint8)
    if cv2 is not None:
        return cv2.dilate(edge_hw.astype(np.uint8), disk)
    return ndimage.grey_dilation(edge_hw.astype(np.uint8), footprint=disk, mode="constant")


def _sorted_topk(affinity_mq: Tensor, k: int) -> tuple[Tensor, Tensor]:
    value_mq, index_mq = affinity_mq.sort(dim=0, descending=True, stable=True)
    return value_mq[:k], index_mq[:k]


@functools.lru_cache(maxsize=2)
def _distance(height: int, width: int) -> Tensor:
    dy_nn, dx_nn = _offsets(height, width)
    return (dy_nn**2 + dx_nn**2).float().sqrt()


@functools.lru_cache(maxsize=2)
def _square(height: int, width: int, radius: int) -> Tensor:
    dy_nn, dx_nn = _offsets(height, width)
    return (dy_nn.abs() <= radius) & (dx_nn.abs() <= radius)


def _offsets(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y_n, x_n = y.flatten(), x.flatten()
    return y_n[:, None] - y_n, x_n[:, None] - x_n
