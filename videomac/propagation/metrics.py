"""Scores: J and F of DAVIS, mean IoU from one confusion matrix, PCK of key points.

J, F and their statistics equal those of the official toolkit (davis2017-evaluation, `metrics.py`, `utils.py`); tests
hold them to 1e-6. One difference: the bins of the decay are computed in int64 (the toolkit's uint8 wraps from 256
frames on).

Shape letters: t frames, o objects, h w pixels, j joints.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from videomac.propagation.boundaries import boundary_f

PCK_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def jaccard(truth_hw: np.ndarray, prediction_hw: np.ndarray) -> float:
    """Return the intersection over union of two boolean masks; 1 if both are empty."""
    union = np.count_nonzero(truth_hw | prediction_hw)
    return np.count_nonzero(truth_hw & prediction_hw) / union if union else 1.0


def davis_clip(truth_thw: np.ndarray, prediction_thw: np.ndarray, ids: Sequence[int]) -> dict[str, np.ndarray]:
    """Return J and F, each (objects, frames), of id maps for the objects `ids`; all other pixels count as background.

    So do void pixels of the truth (255), as in the toolkit. The toolkit scores the ids 1 to the largest one; this one
    scores those that exist, which is the same where none is skipped. The semi-supervised protocol leaves out the first
    and the last frame: pass the others.
    """
    shape = (len(ids), len(truth_thw))
    scores = {"J": np.zeros(shape), "F": np.zeros(shape)}
    for place, number in enumerate(ids):
        for t, (truth_hw, prediction_hw) in enumerate(zip(truth_thw, prediction_thw, strict=True)):
            pair = truth_hw == number, prediction_hw == number
            scores["J"][place, t], scores["F"][place, t] = jaccard(*pair), boundary_f(*pair)
    return scores


def statistics(per_frame_t: np.ndarray) -> dict[str, float]:
    """Return Mean, Recall (share above 0.5) and Decay (mean of the first quarter minus the last) over frames."""
    edges = np.round(np.linspace(1, len(per_frame_t), 5) + 1e-10).astype(np.int64) - 1
    quarters = [per_frame_t[a : b + 1] for a, b in itertools.pairwise(edges)]
    return {
        "Mean": float(np.mean(per_frame_t)),
        "Recall": float(np.mean(per_frame_t > 0.5)),
        "Decay": float(np.mean(quarters[0]) - np.mean(quarters[3])),
    }


def davis_total(per_object: dict[str, dict[str, float]]) -> dict[str, float]:
    """Means over objects of J-Mean, J-Recall, ..., F-Decay, and J&F-Mean, of what `davis_object` gives for each."""
    names = [f"{metric}-{kind}" for metric in "JF" for kind in ("Mean", "Recall", "Decay")]
    total = {name: float(np.mean([scores[name] for scores in per_object.values()])) for name in names}
    return {"J&F-Mean": (total["J-Mean"] + total["F-Mean"]) / 2, **total}


def davis_object(j_t: np.ndarray, f_t: np.ndarray) -> dict[str, float]:
    """Return J-Mean to F-Decay of one object from its scores per frame."""
    return {f"{m}-{kind}": v for m, values in (("J", j_t), ("F", f_t)) for kind, v in statistics(values).items()}


def confusion(truth_hw: np.ndarray, prediction_hw: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes) of (truth, prediction), without pixels whose truth is not a class (void)."""
    known = truth_hw < classes
    pairs = classes * truth_hw[known].astype(np.int64) + prediction_hw[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean IoU over classes in truth or prediction, and the IoU per class (NaN if it is in neither)."""
    hits, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    per_class = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
    return float(np.nanmean(per_class)) if (union > 0).any() else math.nan, per_class


def pck_distances(
    truth_tj2: np.ndarray, present_tj: np.ndarray, prediction_tj2: np.ndarray, exists_tj: np.ndarray
) -> np.ndarray:
    """Return distances (frames, joints) in units of 0.6 x the diagonal of the box of the frame's visible joints.

    As in videowalk's `eval_pck.py`, a joint is visible in a frame if it is annotated there and its prediction exists;
    box and distances are of visible joints only, and NaN marks the others. Coordinates are in pixels of the annotation;
    the given frame is not scored and must not be passed.
    """
    visible_tj = present_tj & exists_tj
    distance_tj = np.linalg.norm(prediction_tj2 - truth_tj2, axis=2)
    result_tj = np.full(visible_tj.shape, np.nan)
    for t, visible_j in enumerate(visible_tj):
        if visible_j.any():
            box = np.ptp(truth_tj2[t, visible_j], axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):  # one visible joint has a box of size 0
                result_tj[t, visible_j] = distance_tj[t, visible_j] / (0.6 * np.linalg.norm(box))
    return result_tj


def pck(distances: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return, for each threshold 0.1 .. 0.5, the share of a joint's distances within it, and `mean` over joints.

    `distances` are those of all frames of all clips, by joint; a joint without any is left out of the mean.
    """
    scores: dict[str, dict[str, float]] = {}
    for threshold in PCK_THRESHOLDS:
        shares = {joint: float(np.mean(np.asarray(d) <= threshold)) for joint, d in distances.items() if d}
        scores[f"PCK@{threshold}"] = {**shares, "mean": float(np.mean(list(shares.values()))) if shares else math.nan}
    return scores
