"""Turn one source into clips: keep it, cut it by stream copy, or re-encode it. Runs in a bounded child process.

Every clip is a file (or a run of images) and what was learned by reading it back, as training will.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
from collections.abc import Iterator, Sequence

import av.error
import numpy as np
import pydantic

from videomac.config import Bounds, BuildShards
from videomac.data.pyav_clip import BROKEN, PyavClip, is_machines_trouble
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Handler
from videomac.facts.media import Treatment
from videomac.records.decoding import MadeClip, SourceAnswer, SourceRequest
from videomac.storage.entries import Content

from . import encode, frame_folders
from .encode import Reencoding

CONVERTER = "shards.convert:converter"
UNENCODABLE = (ValueError, RuntimeError)
"""What PyAV raises for frames that no encoder takes."""
PROBER = "shards.convert:prober"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What the clips of a source depend on."""

    bounds: Bounds
    segment_s: float
    """Longer videos are cut into segments of about this length."""
    min_duration_s: float
    """Shorter clips are rejected."""
    fps: float | None
    """Frame rate of frame folders."""
    reencoding: Reencoding | None
    """None: bytes stay as they came."""
    fallback: Reencoding
    """For parts of videos that cannot be copied."""

    @classmethod
    def of(cls, config: BuildShards) -> Conversion:
        """Return the conversion that the settings of a build ask for."""
        reencoding = Reencoding(config.short_side, config.reencode_fps, config.keyframe_interval, config.crf)
        fallback = dataclasses.replace(reencoding, short_side=None, fps=None)
        return cls(
            config.bounds,
            config.segment_s,
            config.min_duration_s,
            config.fps,
            reencoding if config.reencode else None,
            fallback,
        )

    def to_json(self) -> bytes:
        """Return the setup of `converter`."""
        return _CONVERSION.dump_json(self)


_CONVERSION = pydantic.TypeAdapter(Conversion)


class Rejected(Exception):  # noqa: N818 - a finding about a source
    """A source that gives no clip, with the reason for `rejected.jsonl`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def converter(setup: bytes) -> Handler:
    """Return the child's handler of a build: it probes sources and converts them; `setup` is a `Conversion`."""
    conversion = _CONVERSION.validate_json(setup)

    def handle(text: bytes, _: Content) -> tuple[SourceAnswer, bytes]:
        request = SourceRequest.model_validate_json(text)
        try:
            if request.op == "probe":
                return SourceAnswer(clips=(whole(request, conversion.bounds),)), b""
            return SourceAnswer(clips=tuple(_clips(request, conversion))), b""
        except Rejected as rejected:
            return SourceAnswer(reason=rejected.reason, detail=rejected.detail), b""

    return handle


def prober(setup: bytes) -> Handler:
    """Return the child's handler that only probes; `setup` are `Bounds`."""
    bounds = Bounds.model_validate_json(setup)

    def handle(text: bytes, _: Content) -> tuple[SourceAnswer, bytes]:
        return SourceAnswer(clips=(whole(SourceRequest.model_validate_json(text), bounds),)), b""

    return handle


def whole(request: SourceRequest, bounds: Bounds) -> MadeClip:
    """Return the source as one clip, uncut.

    Raises:
        BadClip: it exceeds a bound or cannot be decoded.
    """
    if request.kind == "frames":
        assert request.fps is not None  # frame folders have a rate: `find_sources` and `index_shards` ask for it
        return _runs_of_frames(request.files, request.fps, math.inf, bounds)[0]
    return probe(request.files[0], bounds)


def _clips(request: SourceRequest, conversion: Conversion) -> list[MadeClip]:
    if request.kind == "frames":
        assert conversion.fps is not None  # `find_sources` asks for it
        clips = _runs_of_frames(request.files, conversion.fps, conversion.segment_s, conversion.bounds)
    else:
        clips = _video_clips(request, conversion)
    long_enough = [clip for clip in clips if clip.duration >= conversion.min_duration_s]
    if not long_enough:
        seconds = sum(clip.duration for clip in clips)
        raise Rejected("too_short", f"{seconds:.2f} s, less than min_duration_s = {conversion.min_duration_s:g} s")
    return long_enough


def _video_clips(request: SourceRequest, conversion: Conversion) -> list[MadeClip]:
    path, probed, bounds = request.files[0], request.probed, conversion.bounds
    assert probed is not None  # a video is probed before it is converted
    start, end = request.start_s or 0.0, request.end_s
    is_kept = conversion.reencoding is None and probed.duration <= conversion.segment_s and not probed.has_pause
    if is_kept and os.path.getsize(path) > bounds.max_bytes:
        raise BadClip(
            Code.TOO_MANY_BYTES, f"{os.path.getsize(path)} bytes, more than bounds.max_bytes = {bounds.max_bytes}"
        )
    if start and start >= probed.duration:
        raise Rejected("too_short", f"asked for from {start:g} s on, but the video ends at {probed.duration:.2f} s")
    if is_kept and not start and end is None:
        return [probed]
    end = min(end, probed.duration) if end is not None else probed.duration
    clips = _cut_or_encoded(probed, request.folder, start, end, conversion)
    return [clip.model_copy(update={"start": s, "end": round(s + clip.duration, 6)}) for clip, s in clips]


def _cut_or_encoded(
    probed: MadeClip, folder: str, start_s: float, end_s: float, conversion: Conversion
) -> list[tuple[MadeClip, float]]:
    """Return the parts of a video and their starts: copied if copies show the same, else encoded.

    Raises:
        BadClip: nothing can be made of the video.
        OSError: the file system refuses a new file.
    """
    bounds, (path,) = conversion.bounds, probed.files
    if conversion.reencoding is None and probed.is_plain:
        for suffix in ("", "mkv"):
            with contextlib.suppress(_NotCopied):
                return _copied(probed, os.path.join(folder, suffix or "own"), suffix, start_s, end_s, conversion)
    clip = PyavClip(path, bounds.model_copy(update={"max_duration_s": math.inf}))
    target = os.path.join(folder, "encoded")
    os.makedirs(target)
    try:
        with _new_files(folder):
            parts = encode.reencode(
                clip, target, start_s, end_s, conversion.segment_s, conversion.reencoding or conversion.fallback
            )
    except (*BROKEN, *UNENCODABLE) as error:
        if isinstance(error, MemoryError | OSError) and not isinstance(error, av.error.FFmpegError):
            raise
        raise Rejected("unencodable", " ".join(str(error).split())) from error
    finally:
        clip.close()
    return [(probe(part, bounds), start) for part, start in parts]


class _NotCopied(Exception):  # noqa: N818 - a finding, always handled here
    """Copies of packets cannot be written, or do not show what the source shows."""


def _copied(
    probed: MadeClip, folder: str, suffix: str, start_s: float, end_s: float, conversion: Conversion
) -> list[tuple[MadeClip, float]]:
    os.makedirs(folder)
    try:
        with _new_files(folder):
            parts = encode.cut(probed.files[0], folder, start_s, end_s, conversion.segment_s, suffix)
        clips = [(probe(part, conversion.bounds), start) for part, start in parts]
    except (BadClip, *BROKEN) as error:
        if isinstance(error, MemoryError | OSError) and not isinstance(error, av.error.FFmpegError):
            raise
        raise _NotCopied from error
    is_whole = start_s == 0 and end_s >= probed.duration
    frames = sum(clip.frames for clip, _ in clips)
    if (is_whole and frames != probed.frames) or any(not _shows_the_same(clip, probed) for clip, _ in clips):
        raise _NotCopied
    return clips


def _shows_the_same(part: MadeClip, probed: MadeClip) -> bool:
    """Return whether a copied part stands as the source does, and has no pause."""
    lost = {*probed.treatments} - {*part.treatments, Treatment.OTHER_STREAM}
    return not lost and (part.width, part.height) == (probed.width, probed.height) and not part.has_pause


@contextlib.contextmanager
def _new_files(folder: str) -> Iterator[None]:
    """Let what the file system refuses pass as its own error: a bound, or a full disk, is not the video's fault."""
    try:
        yield
    except BROKEN as error:
        code = getattr(error, "errno", None)
        if code == errno.EFBIG or is_machines_trouble(error):
            raise OSError(code, os.strerror(code or 0), folder) from error
        raise


def probe(path: str, bounds: Bounds) -> MadeClip:
    """Read a video's frame times and decode its first, middle and last frame.

    Raises:
        BadClip: it exceeds a bound or cannot be decoded.
    """
    # The length of a source is not bounded here: it is cut.
    clip = PyavClip(path, bounds.model_copy(update={"max_duration_s": math.inf}))
    try:
        times = clip.times_s
        pictures = [picture for _, picture in clip.pictures(sorted({0, len(times) // 2, len(times) - 1}))]
        height, width, _ = pictures[0].shape
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        duration = float(times[-1] - times[0]) + step
        fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else 0.0
        return MadeClip(
            files=(path,), frames=len(times), fps=fps, width=width, height=height, duration=duration,
            codec=clip.codec, start=0.0, end=duration, treatments=clip.treatments, is_plain=clip.is_plain,
            has_pause=bool((np.diff(times) > encode.longest_step(times)).any()),
        )  # fmt: skip
    finally:
        clip.close()


def _runs_of_frames(files: Sequence[str], fps: float, segment_s: float, bounds: Bounds) -> list[MadeClip]:
    """Return runs of images of at most `segment_s`, bytes unchanged; a run ends where numbers are missing.

    Without a limit there is one run, and missing numbers are only counted.
    """
    width, height, treatments = frame_folders.look(files, bounds)
    whole = math.isinf(segment_s)
    most = len(files) if whole else max(2, int(segment_s * fps))
    pieces = frame_folders.consecutive(files)
    if len(pieces) > 1:
        treatments = (*treatments, Treatment.NUMBERS_MISSING)
    clips = []
    for piece in [range(len(files))] if whole else pieces:
        for first in range(piece.start, piece.stop, most):
            run = files[first : min(first + most, piece.stop)]
            start, duration = first / fps, len(run) / fps
            clip = MadeClip(
                files=tuple(run), frames=len(run), fps=fps, width=width, height=height, duration=duration,
                codec="images", start=start, end=start + duration, treatments=treatments,
            )  # fmt: skip
            clips.append(clip)
    return clips
