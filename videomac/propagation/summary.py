"""From clips to the numbers of a table row: totals over clips, means over seeds, paired differences to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from videomac.propagation import metrics

RESAMPLES = 10_000


def total(task: str, parts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores over clips from each clip's `parts` (`tasks.ClipResult`), and details: per object, class or joint.

    DAVIS and own masks: means over objects of all clips; VIP: one confusion matrix over all frames of all clips;
    key points: PCK per joint over all frames of all clips, then the mean over joints.
    """
    if task == "vip":
        counts = np.sum([np.asarray(p["confusion"], np.int64) for p in parts.values()], axis=0)
        mean, per_class = metrics.mean_iou(counts)
        present = {str(c): float(iou) for c, iou in enumerate(per_class) if not np.isnan(iou)}
        return {"mIoU": mean}, {"classes": present, "confusion": counts.tolist()}
    if task in ("davis", "masks"):
        objects = {name: scores for p in parts.values() for name, scores in p["objects"].items()}
        return metrics.davis_total(objects), {"objects": objects}
    joints = list(dict.fromkeys(joint for p in parts.values() for joint in p["distances"]))
    merged = {joint: [d for p in parts.values() for d in p["distances"].get(joint, ())] for joint in joints}
    shares = metrics.pck(merged)
    return {name: values["mean"] for name, values in shares.items()}, {"joints": shares}


def mean_of(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each named score over seeds."""
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float], level: float = 0.95) -> dict[str, Any]:
    """Mean over common clips of ours minus theirs, with a percentile bootstrap interval over clips (seeded).

    Says how sure the sign is given these clips; with a handful of clips the interval is too narrow (`clips` says how
    many there were).
    """
    common = [clip for clip in ours if clip in theirs]
    difference_c = np.array([ours[clip] - theirs[clip] for clip in common])
    result: dict[str, Any] = {"clips": len(common), "per_clip": dict(zip(common, difference_c.tolist(), strict=True))}
    if not common:
        return {**result, "mean": None, "low": None, "high": None, "level": level}
    drawn = np.random.default_rng(0).integers(len(common), size=(RESAMPLES, len(common)))
    low, high = np.quantile(difference_c[drawn].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return {**result, "mean": float(difference_c.mean()), "low": float(low), "high": float(high), "level": level}
