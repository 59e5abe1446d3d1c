"""One labelled clip, from frames to scores, without Ray.

    clip = read_clip("davis", data, clip_names("davis", data)[0])
    result = score_clip(clip, load_extractor(source, stage=1), presets.PRESETS["crw"], "davis")

`LAYOUTS` says for each task how its clips are found and read.

Shape letters: t frames, h w pixels, l label channels, c features, y x feature grid, j joints.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videomac import config
from videomac.errors import EvaluationError
from videomac.facts.presets import Preset
from videomac.facts.shipped import expand
from videomac.propagation import labels, mask_layouts, metrics, point_layouts
from videomac.propagation.clips import Clip, MaskClip, PointClip
from videomac.propagation.extractors import Extractor, extract
from videomac.propagation.frames import input_size, resize
from videomac.propagation.propagate import propagate
from videomac.records.evaluation import ClipParts

VIP_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the clips of a data set are found and read."""

    names: Callable[[config.LabelledData], list[str]]
    read: Callable[[config.LabelledData, str], Clip]


LAYOUTS: dict[str, Layout] = {
    "davis": Layout(mask_layouts.davis_names, mask_layouts.davis_clip),
    "vip": Layout(mask_layouts.vip_names, mask_layouts.vip_clip),
    "jhmdb": Layout(point_layouts.jhmdb_names, point_layouts.jhmdb_clip),
    "masks": Layout(lambda data: mask_layouts.own_names(data, "masks"), mask_layouts.own_mask_clip),
    "keypoints": Layout(point_layouts.own_names, point_layouts.own_clip),
}


@dataclasses.dataclass(frozen=True)
class ClipResult:
    """What one clip gives: its own scores, what totals over clips need, predictions, and where the time went."""

    scores: dict[str, float]
    parts: ClipParts
    """What totals over clips are computed from."""
    prediction: np.ndarray
    """Masks: uint8 ids (T, H, W); key points: x and y (T, J, 2), NaN where lost. From the first labelled frame on."""
    seconds: dict[str, float]
    features_tcyx: np.ndarray | None = None
    """Features of the frames that were asked for."""


def clip_names(task: str, data: config.LabelledData) -> list[str]:
    """Return the names of the clips that the data set and the configuration choose.

    Raises:
        EvaluationError: lists or folders are missing, or nothing is chosen.
    """
    return LAYOUTS[task].names(_located(data))


def read_clip(task: str, data: config.LabelledData, name: str) -> Clip:
    """Return one clip of the data set.

    Raises:
        EvaluationError: something of it is missing or cannot be read.
    """
    return LAYOUTS[task].read(_located(data), name)


def score_clip(
    clip: Clip,
    extractor: Extractor,
    preset: Preset,
    task: str,
    device: str = "cpu",
    keep_features_of: Collection[int] = (),
) -> ClipResult:
    """Carry the first labels of a clip forward and score them.

    Args:
        clip: frames and labels.
        extractor: the features.
        preset: the protocol.
        task: decides how masks are scored.
        device: where features are compared.
        keep_features_of: frames, counted from the first labelled one, whose features the result holds.

    Raises:
        EvaluationError: frames or labels cannot be read, or the first labels are empty.
    """
    carrier = _Carrier(clip, extractor, preset, device, keep_features_of)
    with torch.inference_mode():
        if isinstance(clip, MaskClip):
            prediction = _carry_masks(clip, carrier)
            scores, parts = _classes(clip, prediction) if task == "vip" else _objects(clip, prediction)
        else:
            prediction = _carry_points(clip, carrier)
            scores, parts = _joints(clip, prediction)
    return ClipResult(scores, parts, prediction, carrier.clock.done("scoring"), carrier.kept_tcyx())


class _Carrier:
    """Carries labels through one clip; keeps the time, and the features that are asked for."""

    def __init__(
        self, clip: Clip, extractor: Extractor, preset: Preset, device: str, keep_features_of: Collection[int]
    ) -> None:
        self.extractor, self.preset, self.device = extractor, preset, device
        self.clock = _Clock()
        self._clip, self._wanted = clip, frozenset(keep_features_of)
        self._kept: list[np.ndarray] = []

    def carry(self, first_lyx: Tensor, native: tuple[int, int]) -> Iterator[Float[Tensor, "l y x"]]:
        """Yield the soft labels of every frame after the first labelled one."""
        frames = _entering(self._clip, native, self.preset)
        found = self.clock.features(extract(self.extractor, frames, self.preset.first_std, self.device))
        return self.clock.propagation(propagate(self._keeping(found), first_lyx.to(self.device), self.preset))

    def kept_tcyx(self) -> np.ndarray | None:
        """Return the features of the frames that were asked for, in the order of the clip."""
        return np.stack(self._kept) if self._kept else None

    def _keeping(self, found: Iterator[Tensor]) -> Iterator[Tensor]:
        for t, features_cyx in enumerate(found):
            if t in self._wanted:
                self._kept.append(features_cyx.cpu().numpy())
            yield features_cyx


def _carry_masks(clip: MaskClip, carrier: _Carrier) -> np.ndarray:
    """Return ids (T, H, W) at the size at which the preset scores, of all frames from the first labelled one on."""
    extractor, preset = carrier.extractor, carrier.preset
    given_hw = clip.objects.channels(clip.ids(clip.start))
    native, channels = (given_hw.shape[0], given_hw.shape[1]), len(clip.objects.ids) + 1
    entered = input_size(native, preset)
    reduced_hw = given_hw if preset.labels_down == "nearest" else labels.resize_ids(given_hw, entered)
    first_lyx = labels.down(reduced_hw, channels, extractor.grid(entered), preset).to(carrier.device)
    scored_size = native if preset.scored_at == "native" else entered
    # VIP scores the given frame too, as it comes back from the feature grid (videowalk writes it so).
    regained = clip.start in clip.scored
    given = labels.up(first_lyx, native, entered, extractor.stride, preset) if regained else given_hw
    prediction = [labels.resize_ids(given, scored_size)]
    for soft_lyx in carrier.carry(first_lyx, native):
        prediction.append(labels.up(soft_lyx, native, entered, extractor.stride, preset))
    carrier.clock.mark("upsampling")
    return clip.objects.restored(np.stack(prediction))


def _carry_points(clip: PointClip, carrier: _Carrier) -> np.ndarray:
    """Return x and y (T, J, 2) in pixels of the frames, from the first annotated one on; NaN where a joint is lost."""
    if not clip.present_tj[0].any():
        raise EvaluationError(f"{clip.name}: the first annotated frame has no key point: nothing to carry")
    height, width, _ = next(clip.frames.read(clip.start)).shape
    native = height, width
    entered = input_size(native, carrier.preset)
    sites_per_px = np.array([entered[1] / native[1], entered[0] / native[0]]) / carrier.extractor.stride
    grid = carrier.extractor.grid(entered)
    first_lyx = labels.joint_maps(clip.xy_tj2[0] * sites_per_px, clip.present_tj[0], grid).to(carrier.device)
    found = [labels.read_joints(first_lyx)]
    for soft_lyx in carrier.carry(first_lyx, native):
        found.append(labels.read_joints(soft_lyx))
    carrier.clock.mark("upsampling")
    return np.stack([np.where(exists_j[:, None], xy_j2 / sites_per_px, np.nan) for xy_j2, exists_j in found])


def _objects(clip: MaskClip, prediction_thw: np.ndarray) -> tuple[dict[str, float], ClipParts]:
    size = prediction_thw.shape[1], prediction_thw.shape[2]
    truth_thw = np.stack([_truth(clip, t, size) for t in clip.scored])
    per_frame = metrics.davis_clip(truth_thw, prediction_thw[[t - clip.start for t in clip.scored]], clip.objects.ids)
    scores = zip(clip.objects.ids, per_frame["J"], per_frame["F"], strict=True)
    per_object = {f"{clip.name}_{o}": metrics.davis_object(j_t, f_t) for o, j_t, f_t in scores}
    return metrics.davis_total(per_object), ClipParts(objects=per_object)


def _classes(clip: MaskClip, prediction_thw: np.ndarray) -> tuple[dict[str, float], ClipParts]:
    height, width = prediction_thw.shape[1:]
    counts = np.zeros((VIP_CLASSES, VIP_CLASSES), np.int64)
    for t in clip.scored:
        counts += metrics.confusion(_truth(clip, t, (height, width)), prediction_thw[t - clip.start], VIP_CLASSES)
    return {"mIoU": metrics.mean_iou(counts)[0]}, ClipParts(confusion=tuple(map(tuple, counts.tolist())))


def _joints(clip: PointClip, prediction_tj2: np.ndarray) -> tuple[dict[str, float], ClipParts]:
    found_tj2 = prediction_tj2[[t - clip.start for t in clip.annotated[1:]]]
    exists_tj = np.isfinite(found_tj2).all(axis=-1)
    distances_tj = metrics.pck_distances(clip.xy_tj2[1:], clip.present_tj[1:], found_tj2, np.asarray(exists_tj))
    columns = zip(clip.joints, distances_tj.T, strict=True)
    distances = {joint: tuple(column[~np.isnan(column)].tolist()) for joint, column in columns}
    return {name: shares["mean"] for name, shares in metrics.pck(distances).items()}, ClipParts(distances=distances)


def _truth(clip: MaskClip, t: int, size: tuple[int, int]) -> np.ndarray:
    """Return the ids of frame t at the size that is scored."""
    ids_hw = clip.ids(t)
    height, width = clip.objects.size
    if ids_hw.shape != (height, width):
        raise EvaluationError(
            f"{clip.masks[t]}: {ids_hw.shape[1]}x{ids_hw.shape[0]}, the clip's first annotation {width}x{height}; "
            "annotations have the size of their frames"
        )
    return labels.resize_ids(ids_hw, size)


def _entering(clip: Clip, native: tuple[int, int], preset: Preset) -> Iterator[np.ndarray]:
    """Yield the frames at the size of the network's input."""
    for frame_hwc in clip.frames.read(clip.start):
        if frame_hwc.shape[:2] != native:
            raise EvaluationError(
                f"{clip.name}: frames are {frame_hwc.shape[1]}x{frame_hwc.shape[0]}, "
                f"annotations {native[1]}x{native[0]}"
            )
        yield resize(frame_hwc, input_size(native, preset), preset)


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

    def features(self, items: Iterator[Tensor]) -> Iterator[Tensor]:
        return self._timed(items, before="propagation", inside="features")

    def propagation(self, items: Iterator[Tensor]) -> Iterator[Tensor]:
        return self._timed(items, before="upsampling", inside="propagation")

    def _timed(self, items: Iterator[Tensor], before: str, inside: str) -> Iterator[Tensor]:
        while True:
            self.mark(before)
            item = next(items, None)
            self.mark(inside)
            if item is None:
                return
            yield item
