"""Pictures of one evaluated clip, from the predictions and features in hand.

For each clip `OUT/pictures` receives `CLIP.npz` (what the page of a run draws from), `CLIP.jpg` (strip: truth and every
candidate), `CLIP.mp4` (truth beside the first candidate's prediction) and `CLIP.pca.jpg` (the first candidate's
features).

Shape letters: t frames, h w pixels, y x feature grid, c features, j joints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from videomac.errors import EvaluationError
from videomac.facts.presets import Preset
from videomac.propagation.clips import Clip, MaskClip
from videomac.propagation.extractors import Extractor, extract
from videomac.propagation.frames import input_size, resize
from videomac.report import clip_pictures
from videomac.report.pictures import overlay
from videomac.storage.arrays import npz_bytes

WIDTH = 480
"""Pictures' largest width in pixels."""

Draw = Callable[[int, np.ndarray | None], np.ndarray]
"""Frame t with labels or key points drawn over it; None leaves it bare."""


def shown_frames(clip: Clip) -> list[int]:
    """Return the few labelled frames that pictures show, counted from the clip's first labelled one."""
    labelled = sorted(clip.masks) if isinstance(clip, MaskClip) else clip.annotated
    return [labelled[i] - clip.start for i in clip_pictures.sampled(len(labelled))]


def draw_clip(
    clip: Clip, predictions: Sequence[np.ndarray | None], components_tyx3: np.ndarray | None
) -> dict[str, bytes]:
    """Return the files of a clip's pictures by suffix.

    Args:
        clip: frames and truth.
        predictions: of each candidate in order; None where it was not scored. At least one is there.
        components_tyx3: what `components` makes of the shown frames' features, None where they are not at hand.

    Raises:
        EvaluationError: a frame or an annotation cannot be read, or no prediction is left.
    """
    found = {place: prediction for place, prediction in enumerate(predictions) if prediction is not None}
    if not found:
        raise EvaluationError(f"{clip.name}: its predictions were removed from the folder; score it again")
    frames = [_shrunk(frame_hwc) for frame_hwc in clip.frames.read(clip.start)]
    draw, truth, shown = _drawer(clip, frames), _truth(clip), shown_frames(clip)
    files = {".npz": _arrays(clip, frames, truth, found, shown, draw)}
    lines = [[draw(t, truth[t]) for t in shown], *([draw(t, p[t]) for t in shown] for p in found.values())]
    files[".jpg"] = clip_pictures.jpeg(clip_pictures.grid(lines))
    first = next(iter(found.values()))
    pairs = (np.concatenate([draw(t, truth.get(t)), draw(t, first[t])], 1) for t in range(len(frames)))
    files[".mp4"] = clip_pictures.video(pairs)
    if components_tyx3 is not None:
        size = frames[0].shape[:2]
        coloured = [clip_pictures.enlarged(component_yx3, size) for component_yx3 in components_tyx3]
        files[".pca.jpg"] = clip_pictures.jpeg(clip_pictures.grid([[frames[t] for t in shown], coloured]))
    return files


def components(features_tcyx: np.ndarray) -> np.ndarray:
    """Return the three strongest principal components of a clip's features as colours, uint8 (T, y, x, 3)."""
    return clip_pictures.principal_components(features_tcyx)


def features_of_shown(clip: Clip, extractor: Extractor, preset: Preset) -> np.ndarray:
    """Return the features of the shown frames, for a clip whose features are not at hand."""

    def entering() -> Iterator[np.ndarray]:
        shown = set(shown_frames(clip))
        for t, frame_hwc in enumerate(clip.frames.read(clip.start)):
            if t in shown:
                yield resize(frame_hwc, input_size((frame_hwc.shape[0], frame_hwc.shape[1]), preset), preset)

    return np.stack([features_cyx.cpu().numpy() for features_cyx in extract(extractor, entering(), preset.first_std)])


def _arrays(
    clip: Clip,
    frames: list[np.ndarray],
    truth: dict[int, np.ndarray],
    found: dict[int, np.ndarray],
    shown: list[int],
    draw: Draw,
) -> bytes:
    """Return an npz file: label maps of masks, which a page draws itself; key points come drawn."""
    arrays = {"frames": np.stack([frames[t] for t in shown]), "frame_ids": np.array(shown) + clip.start}
    if isinstance(clip, MaskClip):
        arrays["truth"] = np.stack([truth[t] for t in shown])
        arrays |= {f"prediction_{n}": np.stack([p[t] for t in shown]) for n, p in found.items()}
    else:
        arrays["drawn_truth"] = np.stack([draw(t, truth[t]) for t in shown])
        arrays |= {f"drawn_prediction_{n}": np.stack([draw(t, p[t]) for t in shown]) for n, p in found.items()}
    return npz_bytes(arrays)


def _drawer(clip: Clip, frames: list[np.ndarray]) -> Draw:
    """Return what draws labels, or key points in pixels of the clip's own frames, over a frame."""
    if isinstance(clip, MaskClip):
        return lambda t, ids_hw: frames[t] if ids_hw is None else overlay(frames[t], ids_hw)
    scale = frames[0].shape[1] / next(clip.frames.read(clip.start)).shape[1]
    edges = clip.edges
    return lambda t, xy_j2: frames[t] if xy_j2 is None else clip_pictures.skeleton(frames[t], xy_j2 * scale, edges)


def _truth(clip: Clip) -> dict[int, np.ndarray]:
    """Return the annotations by frame, counted from the clip's first labelled one."""
    if isinstance(clip, MaskClip):
        return {t - clip.start: clip.ids(t) for t in clip.masks}
    points = np.where(clip.present_tj[..., None], clip.xy_tj2, np.nan)
    return {t - clip.start: xy_j2 for t, xy_j2 in zip(clip.annotated, points, strict=True)}


def _shrunk(frame_hwc: np.ndarray) -> np.ndarray:
    height, width = frame_hwc.shape[:2]
    if width <= WIDTH:
        return frame_hwc
    return np.asarray(Image.fromarray(frame_hwc).resize((WIDTH, round(height * WIDTH / width)), Image.Resampling.BOX))
