"""Decode clips with PyAV: presentation times from one pass over the packets, then seeks to keyframes.

One decoding thread: threads inside a decoder gained nothing over more actors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import av
import av.error
import av.logging
import numpy as np
from jaxtyping import Int64

from videomac.config import Bounds
from videomac.data.clip import BinaryFile, Picture, check_pixels, check_times
from videomac.data.status import BadClip, Code

av.logging.set_level(av.logging.FATAL)  # we count broken clips; FFmpeg would print a line per packet

BROKEN = (av.error.FFmpegError, ValueError, OSError)
"""What FFmpeg and PyAV raise for bytes that are not a video that they can decode."""


def open_container(file: BinaryFile) -> Any:
    """Open a video file for reading. It may be a playlist that names others: nothing but this file is ever opened."""
    return av.open(file, options={"protocol_whitelist": "none"})


class PyavClip:
    """An opened video (see `clip.Clip`): a binary file, or the path of one."""

    def __init__(self, file: BinaryFile | str, bounds: Bounds) -> None:
        self._bounds = bounds
        with _broken_is_bad():
            self._file = open(file, "rb") if isinstance(file, str) else file  # noqa: SIM115 - open as long as the clip
            self._container: Any = open_container(self._file)
            if not self._container.streams.video:
                raise BadClip(Code.BROKEN, "no video stream")
            self._stream = self._container.streams.video[0]
            self._prepare()

    def _prepare(self) -> None:
        stream, context = self._stream, self._stream.codec_context
        check_pixels(context.width, context.height, self._bounds)
        context.thread_count = 1
        context.options = {"max_pixels": str(self._bounds.max_pixels)}
        self._time_base = float(stream.time_base or 0)
        self._pts, self._keyframes = self._scan()
        self.times_s = (self._pts - self._pts[:1]) * self._time_base
        check_times(self.times_s, self._bounds)
        self._position: int | None = None
        self.codec, self.stream_index = context.name, stream.index
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None

    def _scan(self) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " k"]]:
        """Return the presentation times of all frames and of keyframes, ascending, in the stream's time base."""
        packets = [p for p in self._container.demux(self._stream) if p.size and not p.is_discard]
        times = [p.pts if p.pts is not None else p.dts for p in packets]
        if any(t is None for t in times):
            self._container.seek(0)
            times = [frame.pts for frame in self._container.decode(self._stream)]
            if any(t is None for t in times):
                raise BadClip(Code.BROKEN, "frames without time stamps")
            return np.unique(np.array(times, np.int64)), np.array(times[:1], np.int64)
        keys = [t for t, p in zip(times, packets, strict=True) if p.is_keyframe] or times[:1]
        shown = [t for t in times if t >= keys[0]]  # frames before the first keyframe lack what they are predicted from
        return np.unique(np.array(shown, np.int64)), np.unique(np.array(keys, np.int64))

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """See `clip.Clip`."""
        for number in numbers:
            with _broken_is_bad(f"frame {number}: "):
                frame = self._frame(number)
                picture = frame.to_ndarray(format="rgb24", threads=1)  # by default it starts threads for every frame
            yield number, np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))

    def _frame(self, number: int) -> av.VideoFrame:
        target = int(self._pts[number])
        found = self._advance(target) if self._reachable(target) else None
        # A seek in a transport stream may land beyond the target, and a decoder drops the leading frames of the open
        # group of pictures where it starts: then try the keyframe before, and finally the start of the clip.
        for start in (target, self._keyframe_before(target), None):
            if found is None:
                self._seek(start)
                found = self._advance(target)
        if found is None:
            raise BadClip(Code.BROKEN, f"frame {number} cannot be reached")
        check_pixels(found.width, found.height, self._bounds)
        return found

    def _keyframe_before(self, target: int) -> int | None:
        """Return the last but one of the keyframes that are not after the target."""
        place = int(np.searchsorted(self._keyframes, target, side="right")) - 2
        return int(self._keyframes[place]) if place >= 0 else None

    def _reachable(self, target: int) -> bool:
        """Return whether decoding on takes no longer than a seek: no keyframe lies between here and the target."""
        if self._position is None or self._position > target:
            return False
        here, there = np.searchsorted(self._keyframes, [self._position, target], side="right")
        return bool(here == there)

    def _seek(self, target: int | None) -> None:
        if target is None:
            self._container.seek(min(0, self._container.start_time or 0))
        else:
            self._container.seek(target, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._position, self._last = None, None

    def _advance(self, target: int) -> av.VideoFrame | None:
        """Return the last frame with pts <= target; None if decoding started beyond it."""
        if self._last is not None and self._last.pts == target:
            return self._last
        previous = self._last
        for frame in self._frames:
            if frame.pts is None:
                continue
            self._last, self._position = frame, frame.pts
            if frame.pts == target:
                return frame
            if frame.pts > target:
                return previous
            previous = frame
        return previous

    def close(self) -> None:
        """See `clip.Clip`."""
        self._container.close()
        self._file.close()


@contextlib.contextmanager
def _broken_is_bad(place: str = "") -> Iterator[None]:
    """Turn what FFmpeg raises into `BadClip`; running out of memory says nothing of the bytes and passes."""
    try:
        yield
    except MemoryError:
        raise
    except BROKEN as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadClip(Code.BROKEN, f"{place}{first_line}") from error
