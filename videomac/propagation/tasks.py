"""One labelled clip, from frames to scores: what a Ray task runs, without Ray.

    names = clip_names(config); clip = read_clip(config, names[0])
    result = score_clip(clip, features.load(source, stage), presets.resolve("crw", "davis", config.Propagation()), "davis")

A task is a row of `TASKS`: how clips are found and read, and how predictions become scores.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from videomac import config
from videomac.config.assets import expand
from videomac.errors import EvaluationError
from videomac.propagation import labels, mask_readers, metrics, point_readers
from videomac.propagation.clips import Clip, MaskClip, PointClip
from videomac.propagation.features import Extractor, extract
from videomac.propagation.frames import input_size, read_ids, resize
from videomac.propagation.presets import Preset
from videomac.propagation.propagate import propagate

VIP_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set's layout and its scores."""

    names: Callable[[config.LabelledData], list[str]]
    read: Callable[[config.LabelledData, str], Clip]
    headline: str
    """The score that ranks rows, draws bars and is compared with baselines; larger is better."""


TASKS: dict[str, Task] = {
    "davis": Task(mask_readers.davis_names, mask_readers.davis_clip, "J&F-Mean"),
    "vip": Task(mask_readers.vip_names, mask_readers.vip_clip, "mIoU"),
    "jhmdb": Task(point_readers.jhmdb_names, point_readers.jhmdb_clip, "PCK@0.1"),
    "masks": Task(lambda data: mask_readers.own_names(data, "masks"), mask_readers.own_mask_clip, "J&F-Mean"),
    "keypoints": Task(point_readers.own_names, point_readers.own_clip, "PCK@0.1"),
}


@dataclasses.dataclass(frozen=True)
class ClipResult:
    """What one clip gives: its own scores, what totals over clips need, predictions, and where the time went."""

    scores: dict[str, float]
    parts: dict[str, Any]
    """`objects`: scores per object; or `confusion`: counts as nested lists; or `distances` per joint name."""
    prediction: np.ndarray
    """Masks: uint8 (T, H, W) ids from the clip's first labelled frame on, it included; points: (T, J, 2) x and y."""
    seconds: dict[str, float]


def clip_names(task: str, data: config.LabelledData) -> list[str]:
    """Names of the clips that the data set and the configuration choose.

    Raises:
        EvaluationError: lists or folders are missing, or nothing is chosen.
    """
    return TASKS[task].names(_located(data))


def read_clip(task: str, data: config.LabelledData, name: str) -> Clip:
    """One clip of the data set.

    Raises:
        EvaluationError: something of it is missing or cannot be read.
    """
    return TASKS[task].read(_located(data), name)


def score_clip(clip: Clip, extractor: Extractor, preset: Preset, task: str, device: str = "cpu") -> ClipResult:
    """Carries the first labels of a clip forward and scores them.

    Raises:
        EvaluationError: frames or labels cannot be read, or the first labels are empty.
    """
    clock = _Clock()
    score = _score_masks if isinstance(clip, MaskClip) else _score_points
    with torch.inference_mode():
        return score(clip, extractor, preset, task, device, clock)  # type: ignore[arg-type]


def _score_masks(
    clip: MaskClip, extractor: Extractor, preset: Preset, task: str, device: str, clock: _Clock
) -> ClipResult:
    given_hw = _known(read_ids(clip.masks[clip.start]))
    objects = int(given_hw.max())
    if not objects:
        raise EvaluationError(
            f"{clip.masks[clip.start]}: the first labels hold no object, only background: nothing to carry"
        )
    native = given_hw.shape
    entered = input_size(native, preset)
    reduced_hw = given_hw if preset.labels_down == "nearest" else labels.resize_ids(given_hw, entered)
    first_lyx = labels.down(reduced_hw, objects + 1, extractor.grid(entered), preset).to(device)
    scored_size = native if preset.scored_at == "native" else entered
    prediction = [labels.resize_ids(given_hw, scored_size)]
    frames = _entering(clip, entered, native, preset)
    for soft_lyx in clock.propagation(
        propagate(clock.features(_features(frames, extractor, preset, device)), first_lyx, preset)
    ):
        prediction.append(labels.up(soft_lyx, native, entered, extractor.stride, preset))
    clock.mark("upsampling")
    prediction_thw = np.stack(prediction)
    truth = {t: labels.resize_ids(read_ids(clip.masks[t]), scored_size) for t in clip.scored}
    scores, parts = (_confusion if task == "vip" else _regions)(truth, prediction_thw, clip, objects)
    return ClipResult(scores, parts, prediction_thw, clock.done("scoring"))


def _regions(
    truth: dict[int, np.ndarray], prediction_thw: np.ndarray, clip: MaskClip, objects: int
) -> tuple[dict[str, float], dict[str, Any]]:
    scored = [t - clip.start for t in truth]
    per_frame = metrics.davis_clip(np.stack(list(truth.values())), prediction_thw[scored], objects)
    per_object = {
        f"{clip.name}_{o + 1}": metrics.davis_object(per_frame["J"][o], per_frame["F"][o]) for o in range(objects)
    }
    return metrics.davis_total(per_object), {"objects": per_object}


def _confusion(
    truth: dict[int, np.ndarray], prediction_thw: np.ndarray, clip: MaskClip, objects: int
) -> tuple[dict[str, float], dict[str, Any]]:
    counts = sum(metrics.confusion(ids, prediction_thw[t - clip.start], VIP_CLASSES) for t, ids in truth.items())
    assert isinstance(counts, np.ndarray)
    return {"mIoU": metrics.mean_iou(counts)[0]}, {"confusion": counts.tolist()}


def _score_points(
    clip: PointClip, extractor: Extractor, preset: Preset, task: str, device: str, clock: _Clock
) -> ClipResult:
    native = next(clip.frames.read(clip.start)).shape[:2]
    entered = input_size(native, preset)
    cells_per_px = np.array([entered[1] / native[1], entered[0] / native[0]]) / extractor.stride
    if not clip.present_tj[0].any():
        raise EvaluationError(f"{clip.name}: the first annotated frame has no key point: nothing to carry")
    grid = extractor.grid(entered)
    first_lyx = labels.joint_maps(clip.xy_tj2[0] * cells_per_px, clip.present_tj[0], grid).to(device)
    found = [labels.read_joints(first_lyx)]
    frames = _entering(clip, entered, native, preset)
    for soft_lyx in clock.propagation(
        propagate(clock.features(_features(frames, extractor, preset, device)), first_lyx, preset)
    ):
        found.append(labels.read_joints(soft_lyx))
    xy_tj2 = np.stack([np.where(exists_j[:, None], xy_j2 / cells_per_px, np.nan) for xy_j2, exists_j in found])
    clock.mark("upsampling")
    at = [number - clip.start for number in clip.numbers[1:]]
    exists_tj = ~np.isnan(xy_tj2[at]).any(-1)
    distances_tj = metrics.pck_distances(clip.xy_tj2[1:], clip.present_tj[1:], xy_tj2[at], exists_tj)
    by_joint = {joint: distances_tj[:, j] for j, joint in enumerate(clip.joints)}
    parts = {"distances": {joint: d[~np.isnan(d)].tolist() for joint, d in by_joint.items()}}
    scores = {name: shares["mean"] for name, shares in metrics.pck(parts["distances"]).items()}
    return ClipResult(scores, parts, xy_tj2, clock.done("scoring"))


def _entering(clip: Clip, entered: tuple[int, int], native: tuple[int, ...], preset: Preset) -> Iterator[np.ndarray]:
    for frame_hwc in clip.frames.read(clip.start):
        if frame_hwc.shape[:2] != tuple(native):
            raise EvaluationError(
                f"{clip.name}: frames are {frame_hwc.shape[1]}x{frame_hwc.shape[0]}, annotations {native[1]}x{native[0]}"
            )
        yield resize(frame_hwc, entered, preset)


def _features(
    frames: Iterable[np.ndarray], extractor: Extractor, preset: Preset, device: str
) -> Iterator[torch.Tensor]:
    return extract(extractor, frames, preset.first_std, device)


def _known(ids_hw: np.ndarray) -> np.ndarray:
    return np.where(ids_hw == metrics.VOID, 0, ids_hw).astype(np.uint8)


def _located(data: config.LabelledData) -> config.LabelledData:
    return data.model_copy(update={"root": expand(data.root)})


class _Clock:
    """Seconds by part of a pipeline of generators: time inside `features` is not counted in `propagation`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("features", "propagation", "upsampling", "scoring"), 0.0)
        self.last = time.perf_counter()

    def mark(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now

    def done(self, part: str) -> dict[str, float]:
        self.mark(part)
        return self.seconds

    def features(self, items: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        return self._timed(items, before="propagation", inside="features")

    def propagation(self, items: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        return self._timed(items, before="upsampling", inside="propagation")

    def _timed(self, items: Iterator[torch.Tensor], before: str, inside: str) -> Iterator[torch.Tensor]:
        while True:
            self.mark(before)
            item = next(items, None)
            self.mark(inside)
            if item is None:
                return
            yield item
