"""Make new video files from old ones: cut by stream copy at keyframes, or re-encoded so that seeking is cheap.

Muxing is bit-exact and encoding has one thread, so that equal input and libraries give equal bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import Flags
from av.video.reformatter import Interpolation
from jaxtyping import Float64

from videomac.data.pyav_clip import PyavClip
from videomac.data.streams import open_container, video_stream

Part = tuple[str, float]
"""A new file, and where it starts in the source, in seconds."""

MP4_CODECS = frozenset({"h264", "hevc", "mpeg4", "av1", "vp9", "mjpeg"})
LEAST_PAUSE_S, PAUSE_STEPS = 5.0, 20.0
"""A frame that is shown for longer than both, in seconds and in usual steps, is a pause: a part ends there."""
SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclasses.dataclass(frozen=True)
class Reencoding:
    """How videos are re-encoded (see the keys of `BuildShards`)."""

    short_side: int | None
    fps: float | None
    keyframe_interval: int
    crf: int


def cut(path: str, folder: str, start_s: float, end_s: float, segment_s: float, suffix: str = "") -> list[Part]:
    """Copy packets into segments that start at the first keyframe at or after each multiple of `segment_s`.

    A part that does not start at a keyframe starts at the one before, as in a player. The container is MP4 for codecs
    that it commonly holds, else Matroska, unless `suffix` names one.

    Raises:
        ValueError: or another error of PyAV: the container does not take the codec.
    """
    segments: list[_Segment] = []
    with open(path, "rb") as file, open_container(file) as source:
        stream = video_stream(source)
        suffix = suffix or ("mp4" if stream.codec_context.name in MP4_CODECS else "mkv")
        for time, packet in _packets(source, stream, start_s):
            if packet.is_keyframe and time >= end_s:
                break
            if packet.is_keyframe and segments and time <= start_s:
                segments[-1].restart(time)
            elif packet.is_keyframe and (not segments or time >= segments[-1].start + segment_s):
                if segments:
                    segments[-1].close()
                segments.append(_Segment(os.path.join(folder, f"{len(segments):05d}.{suffix}"), stream, time))
            if segments:
                segments[-1].copy(packet)
    if segments:
        segments[-1].close()
    return [(segment.path, segment.start) for segment in segments]


def _packets(source: Any, stream: Any, start_s: float) -> Iterator[tuple[float, Any]]:
    """Yield (seconds from the first frame, packet) from a keyframe at or before `start_s` on."""
    base, first_pts = float(stream.time_base or 0), stream.start_time or 0

    def times() -> Iterator[tuple[float, Any]]:
        for packet in source.demux(stream):
            if packet.size and not packet.is_discard:
                yield ((packet.pts if packet.pts is not None else packet.dts) - first_pts) * base, packet

    if start_s > 0:
        source.seek(first_pts + round(start_s / base), stream=stream, backward=True)
        found = times()
        head = next(found, None)
        if head is not None and head[1].is_keyframe and head[0] <= start_s:
            yield head
            yield from found
            return
        source.seek(min(0, source.start_time or 0))  # a seek in a transport stream may land beyond its target
    yield from times()


class _Segment:
    """An output file that packets are copied to. They are held until its end, because decoding times may be missing."""

    def __init__(self, path: str, template: Any, start: float) -> None:
        self.path, self.start = path, start
        self._container = _bitexact(path)
        self._stream = self._container.add_stream_from_template(template)
        self._packets: list[Any] = []

    def restart(self, start: float) -> None:
        """Start at a later time: forget what was copied."""
        self.start, self._packets = start, []

    def copy(self, packet: Any) -> None:
        """Append a packet."""
        if packet.pts is None:
            packet.pts = packet.dts
        self._packets.append(packet)

    def close(self) -> None:
        """Write the packets, with times counted from the first decoding time."""
        times = decoding_times([packet.pts for packet in self._packets], [packet.dts for packet in self._packets])
        for packet, dts in zip(self._packets, times, strict=True):
            packet.pts, packet.dts = packet.pts - times[0], dts - times[0]
            packet.stream = self._stream
            self._container.mux(packet)
        self._container.close()
        self._packets = []


def decoding_times(pts: list[int], dts: list[int | None]) -> list[int]:
    """Return times in decoding order that a muxer accepts: ascending, and none after its presentation time.

    These are the given times if they qualify; else (Matroska leaves some out) the presentation times, sorted and all
    shifted back by the same amount.
    """
    known = [time for time in dts if time is not None]
    if len(known) == len(dts) and all(a < b for a, b in itertools.pairwise(known)):
        return known
    ordered = sorted(pts)
    late = max(time - shown for time, shown in zip(ordered, pts, strict=True))
    return [time - late for time in ordered]


def reencode(
    clip: PyavClip, folder: str, start_s: float, end_s: float, segment_s: float, settings: Reencoding
) -> list[Part]:
    """Encode as H.264 with a keyframe every `keyframe_interval` frames, as a player shows it, without sound, with a
    short side of at most `short_side`, cut every `segment_s` and at pauses."""
    encoders: list[_Encoder] = []
    rate, pause_s = settings.fps or clip.nominal_fps, longest_step(clip.times_s)
    last = -math.inf
    for time, frame in _ticked(clip.shown_frames(start_s, end_s), settings.fps):
        if not encoders or time >= encoders[-1].start + segment_s or time - last > pause_s:
            if encoders:
                encoders[-1].close()
            name = os.path.join(folder, f"{len(encoders):05d}.mp4")
            encoders.append(_Encoder(name, time, frame, rate, settings))
        encoders[-1].encode(time, frame)
        last = time
    if encoders:
        encoders[-1].close()
    return [(encoder.path, encoder.start) for encoder in encoders]


def longest_step(times_s: Float64[np.ndarray, " t"]) -> float:
    """Return the longest time in seconds for which a frame may be shown before its part ends."""
    usual = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return max(LEAST_PAUSE_S, PAUSE_STEPS * usual)


def _ticked(frames: Iterator[tuple[float, av.VideoFrame]], fps: float | None) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the first frame of each tick of `fps`, at the time of the tick; None: all frames at their own times."""
    last_tick = -1
    for time, frame in frames:
        if fps is None:
            yield time, frame
            continue
        tick = int(time * fps + 1e-6)
        if tick != last_tick:
            last_tick = tick
            yield tick / fps, frame


class _Encoder:
    """One output file; frame times keep the source's precision, so a variable frame rate is preserved."""

    TICKS = 90_000
    """Per second: fine enough for every common frame rate."""

    def __init__(self, path: str, start: float, frame: av.VideoFrame, rate: float, settings: Reencoding) -> None:
        self.path, self.start = path, start
        self._size = _size(frame, settings.short_side)
        self._container = _bitexact(path)
        self._stream: Any = self._container.add_stream("libx264", rate=round(rate) or 1)
        context = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self.TICKS)
        context.thread_count = 1
        context.gop_size = settings.keyframe_interval
        context.max_b_frames = 0
        context.options = {"crf": str(settings.crf), "preset": "veryfast", "x264-params": "scenecut=0"}
        self._last_ticks = -1

    def encode(self, time: float, frame: av.VideoFrame) -> None:
        """Append a frame shown at `time` seconds of the source."""
        ticks = max(round((time - self.start) * self.TICKS), self._last_ticks + 1)
        width, height = self._size
        scaled = frame.reformat(width=width, height=height, format="yuv420p", interpolation=SCALING, threads=1)
        scaled.pts, scaled.time_base, scaled.pict_type = ticks, Fraction(1, self.TICKS), 0
        self._last_ticks = ticks
        self._container.mux(self._stream.encode(scaled))

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def _size(frame: av.VideoFrame, short_side: int | None) -> tuple[int, int]:
    """Return width and height of the output: even numbers, never larger than the frame."""
    width, height = frame.width, frame.height
    scale = min(1.0, short_side / min(width, height)) if short_side else 1.0
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _bitexact(path: str) -> Any:
    container = av.open(path, "w")
    container.flags |= Flags.bitexact.value
    return container
