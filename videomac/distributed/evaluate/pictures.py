"""Pictures of every evaluated clip, one Ray task each, on the driver's node, where the predictions are.

Into `OUT/pictures` go, for each clip, `CLIP.npz` (what pages draw from), `CLIP.jpg` (strip: truth and every row),
`CLIP.mp4` (truth beside the first row's prediction) and `CLIP.pca.jpg` (the first row's features).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray
from PIL import Image
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from videomac import config
from videomac.errors import EvaluationError, MissingFileError
from videomac.evaluation.candidates import Row
from videomac.facts.presets import Preset
from videomac.propagation.clips import Clip, MaskClip
from videomac.propagation.extractors import extract
from videomac.propagation.frames import input_size, read_ids, resize
from videomac.propagation.load import load_extractor
from videomac.report import clip_pictures
from videomac.report.pictures import overlay
from videomac.storage.copies import read_file, write_file

WIDTH = 480
"""Pictures' largest width in pixels."""


def draw_all(settings: config.Evaluate, preset: Preset, rows: Sequence[Row], clips: dict[str, Clip]) -> None:
    """Draws every clip; one whose pictures fail is named and keeps its scores."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Books no CPU: the head of a cluster often has none to give.
    task = ray.remote(draw_clip).options(num_cpus=0, scheduling_strategy=here)
    limit, waiting, running = max(1, settings.parallel or 2), list(clips.values()), {}
    while waiting or running:
        while waiting and len(running) < limit:
            clip = waiting.pop()
            running[task.remote(settings, preset, list(rows), clip)] = clip.name
        (done,), _ = ray.wait(list(running))
        name = running.pop(done)
        try:
            ray.get(done)
        except (EvaluationError, RayError) as error:
            print(f"{name}: no pictures: {str(error).strip().splitlines()[-1]}", flush=True)


def draw_clip(settings: config.Evaluate, preset: Preset, rows: list[Row], clip: Clip) -> None:
    """Writes the pictures of one clip from its predictions in `settings.out`."""
    import torch

    torch.set_num_threads(1)
    frames = [_shrunk(frame_hwc) for frame_hwc in clip.frames.read(clip.start)]
    draw = _drawer(clip, frames)
    found = {f"prediction_{r}": _predictions(settings.out, row, clip) for r, row in enumerate(rows)}
    found = {key: prediction for key, prediction in found.items() if prediction is not None}
    truth = _truth(clip)
    labelled = sorted(truth)
    shown = [labelled[i] for i in clip_pictures.sampled(len(labelled))]
    place = f"{settings.out}/pictures/{clip.name}"
    arrays: dict[str, Any] = {"frames": np.stack([frames[t] for t in shown]), "frame_ids": np.array(shown) + clip.start}
    if isinstance(clip, MaskClip):
        arrays["truth"] = np.stack([truth[t] for t in shown])
        arrays |= {key: np.stack([prediction[t] for t in shown]) for key, prediction in found.items()}
    else:
        arrays |= {f"drawn_{key}": np.stack([draw(t, p[t]) for t in shown]) for key, p in found.items()}
        arrays["drawn_truth"] = np.stack([draw(t, truth[t]) for t in shown])
    write_file(f"{place}.npz", _npz(arrays))
    lines = [[draw(t, truth[t]) for t in shown], *([draw(t, p[t]) for t in shown] for p in found.values())]
    write_file(f"{place}.jpg", clip_pictures.jpeg(clip_pictures.grid(lines)))
    first = next(iter(found.values()))
    pairs = (np.concatenate([draw(t, truth.get(t)), draw(t, first[t])], 1) for t in range(len(frames)))
    write_file(f"{place}.mp4", clip_pictures.video(pairs))
    _draw_components(settings, preset, rows[0], clip, shown, place)


def _draw_components(
    settings: config.Evaluate, preset: Preset, row: Row, clip: Clip, shown: list[int], place: str
) -> None:
    extractor = load_extractor(row.source, row.stage, row.seeds[0], settings.stride_reduction)
    wanted = [frame for t, frame in enumerate(clip.frames.read(clip.start)) if t in shown]
    entered = input_size(wanted[0].shape[:2], preset)
    found = extract(extractor, (resize(frame, entered, preset) for frame in wanted), preset.first_std)
    coloured = clip_pictures.principal_components(np.stack([f.numpy() for f in found]), _shrunk(wanted[0]).shape[:2])
    write_file(f"{place}.pca.jpg", clip_pictures.jpeg(clip_pictures.grid([[_shrunk(f) for f in wanted], coloured])))


def _drawer(clip: Clip, frames: list[np.ndarray]) -> Callable[[int, np.ndarray | None], np.ndarray]:
    """Draws labels or key points (in pixels of the clip's own frames) over frame t; None leaves it bare."""
    if isinstance(clip, MaskClip):
        return lambda t, ids_hw: frames[t] if ids_hw is None else overlay(frames[t], ids_hw)
    scale = frames[0].shape[1] / next(clip.frames.read(clip.start)).shape[1]
    edges = clip.edges
    return lambda t, xy: frames[t] if xy is None else clip_pictures.skeleton(frames[t], xy * scale, edges)


def _truth(clip: Clip) -> dict[int, np.ndarray]:
    """Annotations by frame, counted from the clip's first labelled one."""
    if isinstance(clip, MaskClip):
        return {t - clip.start: read_ids(path) for t, path in clip.masks.items()}
    points = np.where(clip.present_tj[..., None], clip.xy_tj2, np.nan)
    return {t - clip.start: xy_j2 for t, xy_j2 in zip(clip.numbers, points, strict=True)}


def _predictions(out: str, row: Row, clip: Clip) -> np.ndarray | None:
    place = f"{out}/predictions/{row.slug}/{row.seeds[0]}/{clip.name}"
    try:
        if isinstance(clip, MaskClip):
            names = clip.frames.names[clip.start :]
            return np.stack([np.array(Image.open(io.BytesIO(read_file(f"{place}/{n}.png")))) for n in names])
        points = json.loads(read_file(f"{place}.json"))["frames"].values()
        return np.array([[xy or (np.nan, np.nan) for xy in frame] for frame in points], float)
    except MissingFileError:
        return None


def _shrunk(frame_hwc: np.ndarray) -> np.ndarray:
    height, width = frame_hwc.shape[:2]
    if width <= WIDTH:
        return frame_hwc
    return np.asarray(Image.fromarray(frame_hwc).resize((WIDTH, round(height * WIDTH / width)), Image.Resampling.BOX))


def _npz(arrays: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
