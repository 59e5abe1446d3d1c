"""Frames of a video stream by number: by seeks to keyframes where its packets can be trusted, else by decoding from the
start. Which frame a number is never depends on what was asked for before.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import av.error
import numpy as np
from av.format import Flags
from jaxtyping import Int64

from videomac.data.status import BadClip, Code

NOT_BY_KEYFRAMES = frozenset({"gif", "apng"})
"""Codecs whose frames need all that came before, whatever their packets say."""
JUMP_S = 10.0
"""A jump of the clock in a format whose clock may jump: its seeks bisect times, which needs them ascending."""


@dataclasses.dataclass(frozen=True)
class Packets:
    """What the packets of a stream say of its frames."""

    pts: Int64[np.ndarray, " t"]
    """Presentation times of the frames that are shown, ascending, in the stream's time base."""
    keyframes: Int64[np.ndarray, " k"]
    """Of keyframes, ascending; also of those that are decoded but not shown."""
    is_trimmed: bool
    """Whether an edit list hides frames."""


@dataclasses.dataclass(frozen=True)
class NotToBeTrusted:
    """Packets that do not say which frame is shown when: only decoding from the start tells."""

    dts: tuple[int, ...] | None
    """Ascending times of a format that has only those of decoding, with frames that are shown in another order."""


def scan(container: Any, stream: Any) -> Packets | NotToBeTrusted:
    """Read all packets of a stream."""
    packets = [packet for packet in container.demux(stream) if packet.size]
    dts = tuple(packet.dts for packet in packets if packet.dts is not None)
    is_reordered = bool(stream.codec_context.has_b_frames)
    if container.format.name == "avi" and is_reordered:
        return NotToBeTrusted(tuple(sorted(dts)))
    if _depends_on_all(container, stream) or _jumps(container, stream, dts):
        return NotToBeTrusted(None)
    times = [packet.dts if packet.pts is None and not is_reordered else packet.pts for packet in packets]
    known = [time for time in times if time is not None]
    if len(known) < len(packets):
        return NotToBeTrusted(None)
    keys = [t for t, p in zip(known, packets, strict=True) if p.is_keyframe] or known[:1]
    # Frames before the first keyframe lack what they are predicted from.
    shown = [t for t, p in zip(known, packets, strict=True) if t >= keys[0] and not p.is_discard]
    pts = np.unique(np.array(shown, np.int64))
    if len(pts) < len(shown):
        return NotToBeTrusted(None)
    return Packets(pts, np.unique(np.array(keys, np.int64)), any(packet.is_discard for packet in packets))


def _depends_on_all(container: Any, stream: Any) -> bool:
    """Whether a codec has a state beside its keyframes (a palette, a canvas), or a format has no times."""
    context = stream.codec_context
    has_no_times = bool(container.format.flags & Flags.no_timestamps.value)
    return context.name in NOT_BY_KEYFRAMES or context.pix_fmt == "pal8" or has_no_times


def _jumps(container: Any, stream: Any, dts: Sequence[int]) -> bool:
    """Whether times start again, or the clock of the format jumps."""
    may_jump = bool(container.format.flags & Flags.ts_discont.value)
    most = JUMP_S / float(stream.time_base) if may_jump else math.inf
    return any(not 0 <= b - a <= most for a, b in itertools.pairwise(dts))


class ByKeyframes:
    """Frames by seeks to keyframes."""

    def __init__(self, container: Any, stream: Any, packets: Packets) -> None:
        self._container, self._stream, self._packets = container, stream, packets
        self._position: int | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None

    def frame(self, number: int) -> av.VideoFrame:
        """Return a frame.

        Raises:
            BadClip: decoding never arrives at it.
        """
        target = int(self._packets.pts[number])
        try:
            found = self._found(target)
        except Exception:
            self._position = None  # the decoder stopped there: the next frame is looked for from a keyframe
            raise
        if found is None:
            raise BadClip(Code.BROKEN, f"frame {number} cannot be reached")
        return found

    def _found(self, target: int) -> av.VideoFrame | None:
        found = self._advance(target) if self._reachable(target) else None
        # A seek in a transport stream may land beyond the target, and a decoder drops the leading frames of the open
        # group of pictures where it starts: then try the keyframe before, and finally the start of the clip.
        for start in (target, self._keyframe_before(target), None):
            if found is None:
                self._seek(start)
                found = self._advance(target)
        return found

    def _keyframe_before(self, target: int) -> int | None:
        """Return the last but one of the keyframes that are not after the target."""
        place = int(np.searchsorted(self._packets.keyframes, target, side="right")) - 2
        return int(self._packets.keyframes[place]) if place >= 0 else None

    def _reachable(self, target: int) -> bool:
        """Return whether decoding on takes no longer than a seek: no keyframe lies between here and the target."""
        if self._position is None or self._position > target:
            return False
        here, there = np.searchsorted(self._packets.keyframes, [self._position, target], side="right")
        return bool(here == there)

    def _seek(self, target: int | None) -> None:
        if target is None:
            self._container.seek(min(0, self._container.start_time or 0))
        else:
            self._container.seek(target, stream=self._stream, backward=True)
        self._frames = self._from_here()
        self._position, self._last = None, None

    def _from_here(self) -> Iterator[av.VideoFrame]:
        """Yield the frames from the next keyframe on, without those before it that a decoder may make up from nothing
        (leading frames of an open group of pictures)."""
        first = -math.inf
        for packet in self._container.demux(self._stream):
            if packet.is_keyframe and math.isinf(first):
                first = packet.pts if packet.pts is not None else packet.dts
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                if math.isinf(first) or (packet.pts is not None and packet.pts < first):
                    continue  # it lacks what it is predicted from
                raise
            for frame in frames:
                if frame.pts is not None and frame.pts >= first:
                    yield frame

    def _advance(self, target: int) -> av.VideoFrame | None:
        """Return the last frame with pts <= target; None if decoding started beyond it."""
        if self._last is not None and self._last.pts == target:
            return self._last
        previous = self._last
        for frame in self._frames:
            pts = frame.pts
            assert pts is not None  # others are left out
            self._last, self._position = frame, pts
            if pts == target:
                return frame
            if pts > target:
                return previous
            previous = frame
        return previous

    def close(self) -> None:
        """Free the decoder."""
        self._container.close()


class InOrder:
    """Frames counted from the start, as a player shows them; going back starts again."""

    def __init__(self, reopen: Callable[[], tuple[Any, Any]]) -> None:
        self._reopen = reopen
        self._container: Any = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next = 0
        self._last: av.VideoFrame | None = None

    def stamps(self) -> list[int | None]:
        """Return the time stamp of every frame; decodes them all."""
        self._restart()
        stamps = [frame.pts for frame in self._frames]
        self.close()
        return stamps

    def frame(self, number: int) -> av.VideoFrame:
        """Return a frame.

        Raises:
            BadClip: there are fewer.
        """
        if self._container is None or number < self._next - 1:
            self._restart()
        while self._next <= number:
            self._last = next(self._frames, None)
            self._next += 1
            if self._last is None:
                self.close()
                raise BadClip(Code.BROKEN, f"frame {number} cannot be reached")
        assert self._last is not None
        return self._last

    def _restart(self) -> None:
        self.close()
        self._container, stream = self._reopen()
        self._frames, self._next, self._last = self._all(stream), 0, None

    def _all(self, stream: Any) -> Iterator[av.VideoFrame]:
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:  # a seam between joined streams may cost a packet
                continue
            yield from frames

    def close(self) -> None:
        """Free the decoder."""
        if self._container is not None:
            self._container.close()
            self._container = None
