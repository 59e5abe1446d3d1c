"""One source becomes clips: kept, cut by stream copy, or re-encoded. Runs in a bounded child process.

Every clip is a file (or a run of frames) and what was learnt of it by reading it back, as training will.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from videomac.config import Bounds, BuildShards, validate
from videomac.data.clip import check_pixels
from videomac.data.pyav_clip import BROKEN, PyavClip
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Handler

from . import encode


@dataclasses.dataclass
class Clip:
    """A finished clip: `files` in order (one video, or frames), times in seconds of the source."""

    files: list[str]
    frames: int
    fps: float
    width: int
    height: int
    duration: float
    codec: str
    start: float
    end: float


class Rejected(Exception):  # noqa: N818 - a finding about a source
    """A source that gives no clip, with the reason for `rejected.jsonl`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def converter(setup: dict[str, Any]) -> Handler:
    """What the child process runs: `header` names the local files and a folder for new ones."""
    config = validate(BuildShards, setup["config"], origin="converter")

    def handle(header: dict[str, Any], _: memoryview) -> tuple[dict[str, Any], bytes]:
        try:
            if header["op"] == "probe":
                return {"whole": dataclasses.asdict(_whole(header, config))}, b""
            clips = _clips(header, config)
            return {"clips": [dataclasses.asdict(clip) for clip in clips]}, b""
        except Rejected as rejected:
            return {"reason": rejected.reason, "detail": rejected.detail}, b""
        except BadClip as bad:
            return {"reason": bad.code.reason, "detail": bad.detail}, b""

    return handle


def _whole(header: dict[str, Any], config: BuildShards) -> Clip:
    """The source as one clip, uncut."""
    if header["kind"] == "frames":
        return _frame_clips(header["files"], config.model_copy(update={"fps": header["fps"], "segment_s": 1e9}))[0]
    return probe(header["files"][0], config.bounds)


def _clips(header: dict[str, Any], config: BuildShards) -> list[Clip]:
    clips = _frame_clips(header["files"], config) if header["kind"] == "frames" else _video_clips(header, config)
    long_enough = [clip for clip in clips if clip.duration >= config.min_duration_s]
    if not long_enough:
        seconds = sum(clip.duration for clip in clips)
        raise Rejected("too_short", f"{seconds:.2f} s, least is min_duration_s = {config.min_duration_s:g} s")
    return long_enough


def _video_clips(header: dict[str, Any], config: BuildShards) -> list[Clip]:
    path, folder = header["files"][0], header["folder"]
    start, end = header["start_s"] or 0.0, header["end_s"]
    whole = Clip(**header["whole"])
    if os.path.getsize(path) > config.bounds.max_bytes and not config.reencode and whole.duration <= config.segment_s:
        raise BadClip(Code.TOO_MANY_BYTES, f"{os.path.getsize(path)} bytes, allowed: {config.bounds.max_bytes}")
    if start and start >= whole.duration:
        raise Rejected("too_short", f"asked from {start:g} s on, the video ends at {whole.duration:.2f} s")
    asked = end is not None or start > 0
    end = min(end, whole.duration) if end is not None else whole.duration
    try:
        if config.reencode:
            parts = encode.reencode(path, folder, start, end, config)
        elif asked or whole.duration > config.segment_s:
            parts = encode.cut(path, folder, start, end, config.segment_s)
        else:
            return [whole]
    except BROKEN as error:
        raise BadClip(Code.BROKEN, " ".join(str(error).split())) from error
    clips = [(probe(part, config.bounds), start) for part, start in parts]
    return [dataclasses.replace(clip, start=start, end=round(start + clip.duration, 6)) for clip, start in clips]


def probe(path: str, bounds: Bounds) -> Clip:
    """Reads a video's frame times and decodes its first, middle and last frame.

    Raises:
        BadClip: it passes a bound or cannot be decoded.
    """
    # The length of a source is not bounded here: it is cut.
    clip = PyavClip(path, bounds.model_copy(update={"max_duration_s": float("inf")}))
    try:
        times = clip.times_s
        pictures = [picture for _, picture in clip.pictures(sorted({0, len(times) // 2, len(times) - 1}))]
        height, width, _ = pictures[0].shape
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        duration = float(times[-1] - times[0]) + step
        fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else 0.0
        return Clip([path], len(times), fps, width, height, duration, clip.codec, 0.0, duration)
    finally:
        clip.close()


def _frame_clips(files: list[str], config: BuildShards) -> list[Clip]:
    """Runs of frames of at most `segment_s`, bytes unchanged."""
    assert config.fps is not None  # find_sources sees to it
    try:
        with Image.open(files[0], formats=("JPEG", "PNG")) as image:
            check_pixels(image.width, image.height, config.bounds)
            width, height = ImageOps.exif_transpose(image).size
    except (OSError, ValueError, SyntaxError) as error:
        raise BadClip(Code.BROKEN, f"{os.path.basename(files[0])}: {error}") from error
    most = max(2, int(config.segment_s * config.fps))
    clips = []
    for first in range(0, len(files), most):
        run = files[first : first + most]
        start, duration = first / config.fps, len(run) / config.fps
        clips.append(Clip(run, len(run), config.fps, width, height, duration, "images", start, start + duration))
    return clips
