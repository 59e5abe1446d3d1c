"""Direct transcriptions of the published algorithms, in their own chunking: what ours are held to and measured against.

Written from the algorithms of videowalk (`test.py`, Jabri et al. 2020), DINO (`eval_video_segmentation.py`, Caron et
al. 2021), VFS (`vanilla_tracker.py`, Xu & Wang 2021) and the DAVIS-2017 toolkit (`metrics.py`), as slow and plain
as they are. One thing is settled that they leave to the library: among equal affinities `crw` and `vfs` keep the
lowest (frame, site), `dino` keeps all at the k-th value.

Shape letters: t frames, c features, h w grid, l labels, f context frames, n sites of the grid, m = f * n.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

QUERY_CHUNK = 100  # videowalk's `pbsize`


def crw(
    features_tchw: Tensor, first_lhw: Tensor, n: int = 20, radius: float = 12, k: int = 10, temperature: float = 0.05,
    exact_ties: bool = True,
) -> list[Tensor]:  # fmt: skip
    """Soft labels (l, h, w) of frames 1, 2, ...: queue of n copies of frame 0, and frame 0 in front, unmasked.

    `exact_ties` sorts stably (lowest index first) instead of calling `topk`, which leaves the order open: for
    comparisons; the published code calls `topk`.
    """
    _, _, height, width = features_tchw.shape
    outside_mn = torch.where(_distance(height, width) < radius, 0.0, -1e10).to(features_tchw)
    padded = [0] * n + list(range(len(features_tchw)))
    labels = [first_lhw.to(features_tchw).flatten(1)] * (n + 1)
    for t in range(1, len(features_tchw)):
        context = [0, *range(t, t + n)]
        keys_fcn = torch.stack([features_tchw[padded[i]].flatten(1) for i in context])
        labels_lm = torch.cat([labels[i] for i in context], 1)
        parts = []
        for start in range(0, height * width, QUERY_CHUNK):
            chunk = slice(start, start + QUERY_CHUNK)
            query_cq = features_tchw[t].flatten(1)[:, chunk]
            affinity_fnq = torch.einsum("fcn,cq->fnq", keys_fcn, query_cq)
            affinity_fnq[1:] += outside_mn[:, chunk]
            affinity_mq = affinity_fnq.flatten(0, 1) / temperature
            value_kq, index_kq = _sorted_topk(affinity_mq, k) if exact_ties else affinity_mq.topk(k, dim=0)
            weight_kq = value_kq.softmax(0)
            parts.append((labels_lm[:, index_kq] * weight_kq).sum(1))
        labels.append(torch.cat(parts, 1))
    return [label.unflatten(1, (height, width)) for label in labels[n + 1 :]]


def dino(
    features_tchw: Tensor, first_lhw: Tensor, n: int = 7, radius: int = 12, k: int = 5, temperature: float = 0.1
) -> list[Tensor]:
    """Soft labels of frames 1, 2, ...: frame 0 and a queue of the last n (not frame 0), all inside the window."""
    _, channels, height, width = features_tchw.shape
    inside_nn = _square(height, width, radius).to(features_tchw)
    queue: deque[tuple[Tensor, Tensor]] = deque(maxlen=n)
    first = features_tchw[0].flatten(1), first_lhw.to(features_tchw).flatten(1)
    results = []
    for frame_chw in features_tchw[1:]:
        context = [first, *queue]
        keys_fcn = torch.stack([features_cn for features_cn, _ in context])
        query_fnc = frame_chw.flatten(1).T.expand(len(context), -1, channels)
        affinity_fnn = torch.exp(torch.bmm(query_fnc, keys_fcn) / temperature)
        affinity_fnn *= inside_nn
        affinity_mn = affinity_fnn.transpose(2, 1).reshape(-1, height * width)
        kth_n = affinity_mn.topk(k, dim=0).values.amin(0)
        affinity_mn[affinity_mn < kth_n] = 0
        affinity_mn = affinity_mn / affinity_mn.sum(0, keepdim=True)
        labels_ln = torch.cat([labels for _, labels in context], 1) @ affinity_mn
        queue.append((frame_chw.flatten(1), labels_ln))
        results.append(labels_ln.unflatten(1, (height, width)))
    return results


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


def f_measure(prediction_hw: np.ndarray, truth_hw: np.ndarray) -> float:
    """The toolkit's boundary F: both boundary maps dilated by a disk over the whole image.

    The toolkit dilates with OpenCV; here it is SciPy's maximum over the same footprint, ten times slower on bool
    and about as fast as OpenCV through `_dilate`'s sums of runs.
    """
    radius = math.ceil(0.008 * np.linalg.norm(truth_hw.shape))
    prediction, truth = _seg2bmap(prediction_hw), _seg2bmap(truth_hw)
    prediction_dilated, truth_dilated = _dilate(prediction, radius), _dilate(truth, radius)
    n_prediction, n_truth = prediction.sum(), truth.sum()
    if n_prediction == 0 or n_truth == 0:
        return float(n_prediction == n_truth)
    precision = (prediction * truth_dilated).sum() / float(n_prediction)
    recall = (truth * prediction_dilated).sum() / float(n_truth)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def iou(truth_hw: np.ndarray, prediction_hw: np.ndarray) -> float:
    """The toolkit's J of one frame."""
    union = np.sum(truth_hw | prediction_hw)
    return 1.0 if np.isclose(union, 0) else float(np.sum(truth_hw & prediction_hw) / union)


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
    disk = offset**2 + offset[:, None] ** 2 <= radius**2
    return ndimage.grey_dilation(edge_hw.astype(np.uint8), footprint=disk, mode="constant")


def _sorted_topk(affinity_mq: Tensor, k: int) -> tuple[Tensor, Tensor]:
    value_mq, index_mq = affinity_mq.sort(dim=0, descending=True, stable=True)
    return value_mq[:k], index_mq[:k]


def _distance(height: int, width: int) -> Tensor:
    dy_nn, dx_nn = _offsets(height, width)
    return (dy_nn**2 + dx_nn**2).float().sqrt()


def _square(height: int, width: int, radius: int) -> Tensor:
    dy_nn, dx_nn = _offsets(height, width)
    return (dy_nn.abs() <= radius) & (dx_nn.abs() <= radius)


def _offsets(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y_n, x_n = y.flatten(), x.flatten()
    return y_n[:, None] - y_n, x_n[:, None] - x_n
