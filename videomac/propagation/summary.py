"""From clips to the numbers of a table row: totals over clips, means over seeds, paired differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from videomac.propagation import metrics
from videomac.records.evaluation import ClipParts, Details, Difference

RESAMPLES = 10_000


def total(task: str, parts: Mapping[str, ClipParts]) -> tuple[dict[str, float], Details]:
    """Return the scores over clips, and details per object, class or joint.

    DAVIS and own masks: means over the objects of all clips. VIP: one confusion matrix over all frames of all clips.
    Key points: PCK per joint over all frames of all clips, then the mean over joints.
    """
    if task == "vip":
        counts = np.sum([np.asarray(p.confusion, np.int64) for p in parts.values()], axis=0)
        mean, per_class = metrics.mean_iou(counts)
        present: dict[str, float | None] = {str(c): float(x) for c, x in enumerate(per_class) if not np.isnan(x)}
        return {"mIoU": mean}, Details(classes=present, confusion=tuple(map(tuple, counts.tolist())))
    if task in ("davis", "masks"):
        objects = {name: scores for p in parts.values() for name, scores in (p.objects or {}).items()}
        return metrics.davis_total(objects), Details(objects=defined(objects))
    by_clip = [p.distances or {} for p in parts.values()]
    joints = list(dict.fromkeys(joint for distances in by_clip for joint in distances))
    merged = {joint: [d for distances in by_clip for d in distances.get(joint, ())] for joint in joints}
    shares = metrics.pck(merged)
    return {name: values["mean"] for name, values in shares.items()}, Details(joints=defined(shares))


def mean_of(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each named score over seeds."""
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def defined(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return the scores with null for those that are not defined, as JSON has no NaN."""
    return {name: {key: finite(value) for key, value in values.items()} for name, values in scores.items()}


def finite(value: float) -> float | None:
    """Return the value, None where it is NaN or infinite."""
    return value if math.isfinite(value) else None


def paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float], level: float = 0.95) -> Difference:
    """Return the mean over common clips of ours minus theirs, with a percentile bootstrap interval over clips (seeded).

    The interval says how sure the sign is given these clips. With a handful of clips it is too narrow; the number of
    clips stands beside it.
    """
    per_clip = {clip: ours[clip] - theirs[clip] for clip in ours if clip in theirs}
    mean, low, high = _interval(np.array(list(per_clip.values())), level)
    return Difference(
        clips=len(per_clip),
        per_clip={clip: finite(difference) for clip, difference in per_clip.items()},
        mean=mean,
        low=low,
        high=high,
        level=level,
    )


def _interval(difference_c: np.ndarray, level: float) -> tuple[float | None, float | None, float | None]:
    """Return mean, low and high; None where they are not defined."""
    if not len(difference_c) or not np.isfinite(difference_c).all():
        return None, None, None
    mean = float(difference_c.mean())
    if len(difference_c) == 1:  # every resample is the one clip
        return mean, mean, mean
    found = stats.bootstrap(
        (difference_c,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return mean, float(found.confidence_interval.low), float(found.confidence_interval.high)
