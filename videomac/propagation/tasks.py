"""One labelled clip, from frames to scores: what a Ray task runs, without Ray.

    clip = read_clip("davis", data, clip_names("davis", data)[0])
    result = score_clip(clip, load_extractor(source, stage=1), presets.PRESETS["crw"], "davis")

A task is a row of `READERS`: how clips are found and read, and how predictions become scores.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from videomac import config
from videomac.errors import EvaluationError
from videomac.facts.presets import Preset
from videomac.facts.shipped import expand
from videomac.propagation import labels, mask_readers, metrics, point_readers
from videomac.propagation.clips import Clip, MaskClip, PointClip
from videomac.propagation.extractors import Extractor, extract
from videomac.propagation.frames import input_size, read_ids, resize
from videomac.propagation.propagate import propagate

VIP_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Reader:
    """How clips of a data set's layout are found and read."""

    names: Callable[[config.LabelledData], list[str]]
    read: Callable[[config.LabelledData, str], Clip]


READERS: dict[str, Reader] = {
    "davis": Reader(mask_readers.davis_names, mask_readers.davis_clip),
    "vip": Reader(mask_readers.vip_names, mask_readers.vip_clip),
    "jhmdb": Reader(point_readers.jhmdb_names, point_readers.jhmdb_clip),
    "masks": Reader(lambda data: mask_readers.own_names(data, "masks"), mask_readers.own_mask_clip),
    "keypoints": Reader(point_readers.own_names, point_readers.own_clip),
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
    return READERS[task].names(_located(data))


def read_clip(task: str, data: config.LabelledData, name: str) -> Clip:
    """One clip of the data set.

    Raises:
        EvaluationError: something of it is missing or cannot be read.
    """
    return READERS[task].read(_located(data), name)


def score_clip(clip: Clip, extractor: Extractor, preset: Preset, task: str, device: str = "cpu") -> ClipResult:
    """Carries the first labels of a clip forward and scores them.

    Raises:
        EvaluationError: frames or labels cannot be read, or the first labels are empty.
    """
    clock = _Clock()
    with torch.inference_mode():
        if isinstance(clip, MaskClip):
            prediction = _carry_masks(clip, extractor, preset, device, clock)
            scores, parts = (_classes if task == "vip" else _objects)(clip, prediction)
        else:
            prediction = _carry_points(clip, extractor, preset, device, clock)
            scores, parts = _joints(clip, prediction)
    return ClipResult(scores, parts, prediction, clock.done("scoring"))


def _carry_masks(clip: MaskClip, extractor: Extractor, preset: Preset, device: str, clock: _Clock) -> np.ndarray:
    """Ids (T, H, W) at the size at which the preset scores, of all frames from the first labelled one on."""
    given_hw = _given(clip)
    native, channels = given_hw.shape, int(given_hw.max()) + 1
    entered = input_size(native, preset)
    reduced_hw = given_hw if preset.labels_down == "nearest" else labels.resize_ids(given_hw, entered)
    first_lyx = labels.down(reduced_hw, channels, extractor.grid(entered), preset).to(device)
    scored_size = native if preset.scored_at == "native" else entered
    # VIP scores the given frame too, as it comes back from the feature grid (videowalk writes it so).
    regained = clip.start in clip.scored
    given = labels.up(first_lyx, native, entered, extractor.stride, preset) if regained else given_hw
    prediction = [labels.resize_ids(given, scored_size)]
    for soft_lyx in _propagated(clip, extractor, preset, device, clock, native, first_lyx):
        prediction.append(labels.up(soft_lyx, native, entered, extractor.stride, preset))
    clock.mark("upsampling")
    return np.stack(prediction)


def _carry_points(clip: PointClip, extractor: Extractor, preset: Preset, device: str, clock: _Clock) -> np.ndarray:
    """x and y (T, J, 2) in pixels of the frames, NaN where a joint is lost, from the first annotated frame on."""
    if not clip.present_tj[0].any():
        raise EvaluationError(f"{clip.name}: the first annotated frame has no key point: nothing to carry")
    native = next(clip.frames.read(clip.start)).shape[:2]
    entered = input_size(native, preset)
    cells_per_px = np.array([entered[1] / native[1], entered[0] / native[0]]) / extractor.stride
    first_lyx = labels.joint_maps(clip.xy_tj2[0] * cells_per_px, clip.present_tj[0], extractor.grid(entered)).to(device)
    found = [labels.read_joints(first_lyx)]
    for soft_lyx in _propagated(clip, extractor, preset, device, clock, native, first_lyx):
        found.append(labels.read_joints(soft_lyx))
    clock.mark("upsampling")
    return np.stack([np.where(exists_j[:, None], xy_j2 / cells_per_px, np.nan) for xy_j2, exists_j in found])


def _objects(clip: MaskClip, prediction_thw: np.ndarray) -> tuple[dict[str, float], dict[str, Any]]:
    size, objects = prediction_thw.shape[1:], int(_given(clip).max())
    truth_thw = np.stack([_truth(clip, t, size) for t in clip.scored])
    per_frame = metrics.davis_clip(truth_thw, prediction_thw[[t - clip.start for t in clip.scored]], objects)
    per_object = {
        f"{clip.name}_{o + 1}": metrics.davis_object(per_frame["J"][o], per_frame["F"][o]) for o in range(objects)
    }
    return metrics.davis_total(per_object), {"objects": per_object}


def _classes(clip: MaskClip, prediction_thw: np.ndarray) -> tuple[dict[str, float], dict[str, Any]]:
    counts = np.zeros((VIP_CLASSES, VIP_CLASSES), np.int64)
    for t in clip.scored:
        truth_hw = _truth(clip, t, prediction_thw.shape[1:])
        counts += metrics.confusion(truth_hw, prediction_thw[t - clip.start], VIP_CLASSES)
    return {"mIoU": metrics.mean_iou(counts)[0]}, {"confusion": counts.tolist()}


def _truth(clip: MaskClip, t: int, size: tuple[int, ...]) -> np.ndarray:
    """Ids of frame t at the size that is scored."""
    ids_hw = read_ids(clip.masks[t])
    with Image.open(clip.masks[clip.start]) as first:
        width, height = first.size
    if ids_hw.shape != (height, width):
        raise EvaluationError(
            f"{clip.masks[t]}: {ids_hw.shape[1]}x{ids_hw.shape[0]}, the clip's first annotation {width}x{height}; "
            "annotations have the size of their frames"
        )
    return labels.resize_ids(ids_hw, (size[0], size[1]))


def _joints(clip: PointClip, prediction_tj2: np.ndarray) -> tuple[dict[str, float], dict[str, Any]]:
    found_tj2 = prediction_tj2[[number - clip.start for number in clip.numbers[1:]]]
    exists_tj = np.isfinite(found_tj2).all(axis=-1)
    distances_tj = metrics.pck_distances(clip.xy_tj2[1:], clip.present_tj[1:], found_tj2, np.asarray(exists_tj))
    columns = zip(clip.joints, distances_tj.T, strict=True)
    distances = {joint: column[~np.isnan(column)].tolist() for joint, column in columns}
    return {name: shares["mean"] for name, shares in metrics.pck(distances).items()}, {"distances": distances}


def _propagated(
    clip: Clip,
    extractor: Extractor,
    preset: Preset,
    device: str,
    clock: _Clock,
    native: tuple[int, ...],
    first_lyx: torch.Tensor,
) -> Iterator[torch.Tensor]:
    frames = _entering(clip, native, preset)
    found = clock.features(extract(extractor, frames, preset.first_std, device))
    return clock.propagation(propagate(found, first_lyx, preset))


def _given(clip: MaskClip) -> np.ndarray:
    """Ids of the first labelled frame, void as background."""
    path = clip.masks[clip.start]
    ids_hw = read_ids(path)
    ids_hw[ids_hw == metrics.VOID] = 0
    if not ids_hw.any():
        raise EvaluationError(f"{path}: the first labels hold no object, only background: nothing to carry")
    return ids_hw


def _entering(clip: Clip, native: tuple[int, ...], preset: Preset) -> Iterator[np.ndarray]:
    for frame_hwc in clip.frames.read(clip.start):
        if frame_hwc.shape[:2] != tuple(native):
            raise EvaluationError(
                f"{clip.name}: frames are {frame_hwc.shape[1]}x{frame_hwc.shape[0]}, "
                f"annotations {native[1]}x{native[0]}"
            )
        yield resize(frame_hwc, input_size((native[0], native[1]), preset), preset)


def _located(data: config.LabelledData) -> config.LabelledData:
    return data.model_copy(update={"root": expand(data.root)})


class _Clock:
    """Seconds by part of a pipeline of generators: time inside `features` is not counted in `propagation`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(("features", "propagation", "upsampling", "scoring"), 0.0)
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
