"""The tasks of an evaluation: names, scores and default presets, known without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task without reading its data."""

    headline: str
    """Score that ranks candidates, draws bars and is compared with baselines; larger is better."""
    scores: tuple[str, ...]
    """Every score that the task gives."""
    preset: str = "crw"
    """Preset that is used if none is named."""


_MASK_SCORES = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
_POINT_SCORES = tuple(f"PCK@{alpha}" for alpha in (0.1, 0.2, 0.3, 0.4, 0.5))

TASKS: dict[str, TaskFacts] = {
    "davis": TaskFacts("J&F-Mean", _MASK_SCORES),
    "vip": TaskFacts("mIoU", ("mIoU",), preset="vip"),
    "jhmdb": TaskFacts("PCK@0.1", _POINT_SCORES, preset="jhmdb"),
    "masks": TaskFacts("J&F-Mean", _MASK_SCORES),
    "keypoints": TaskFacts("PCK@0.1", _POINT_SCORES),
}
