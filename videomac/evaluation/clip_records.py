"""Finished clips in the folder of an evaluation: predictions, and a record that lets a later run take the clip over.

`predictions/CANDIDATE/SEED/CLIP/FRAME.png` are indexed PNGs, as the official toolkits read them; key points are one
`CLIP.json`. `clips/CANDIDATE/SEED/CLIP.json` is written last and marks the clip as finished.
"""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

from videomac.errors import EvaluationError, MissingFileError
from videomac.evaluation.setup import Job
from videomac.propagation.clips import MaskClip
from videomac.records.evaluation import ClipRecord
from videomac.storage.copies import read_file, read_if_there, write_file


def read_clip_record(out: str, job: Job) -> ClipRecord | None:
    """Return the record of a clip that was finished under the same key, else None."""
    path = f"{out}/clips/{job.place}.json"
    content = read_if_there(path)
    if content is None:
        return None
    try:
        record = ClipRecord.from_json(content, path, EvaluationError)
    except EvaluationError:  # torn, or of another version
        return None
    return record if record.key == job.key else None


def write_clip(out: str, job: Job, prediction: np.ndarray, record: ClipRecord) -> None:
    """Write a clip's predictions, then its record.

    Raises:
        StorageError: the folder cannot be written.
    """
    clip, place = job.clip, f"{out}/predictions/{job.place}"
    names = clip.frames.names[clip.start :]
    if isinstance(clip, MaskClip):
        for name, ids_hw in zip(names, prediction, strict=True):
            write_file(f"{place}/{name}.png", _indexed_png(ids_hw))
    else:
        points = {name: [_point(xy) for xy in xy_j2] for name, xy_j2 in zip(names, prediction, strict=False)}
        document = {"joints": clip.joints, "skeleton": clip.edges, "frames": points}
        write_file(f"{place}.json", json.dumps(document).encode())
    write_file(f"{out}/clips/{job.place}.json", record.to_json())


def read_prediction(out: str, job: Job) -> np.ndarray | None:
    """Return the predictions that `write_clip` wrote, None where they are missing."""
    clip, place = job.clip, f"{out}/predictions/{job.place}"
    try:
        if isinstance(clip, MaskClip):
            names = clip.frames.names[clip.start :]
            return np.stack([np.array(Image.open(io.BytesIO(read_file(f"{place}/{n}.png")))) for n in names])
        points = json.loads(read_file(f"{place}.json"))["frames"].values()
        return np.array([[xy or (np.nan, np.nan) for xy in frame] for frame in points], float)
    except MissingFileError:
        return None


def _indexed_png(ids_hw: np.ndarray) -> bytes:
    image = Image.fromarray(ids_hw)
    image.putpalette(_davis_palette())
    stream = io.BytesIO()
    image.save(stream, format="png")
    return stream.getvalue()


def _davis_palette() -> list[int]:
    """Return the bit-interleaved colour map of PASCAL VOC, which DAVIS uses as well."""
    colours = []
    for index in range(256):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                rgb[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
        colours += rgb
    return colours


def _point(xy: np.ndarray) -> list[float] | None:
    return None if np.isnan(xy).any() else [round(float(v), 2) for v in xy]
