"""Decode clips with PyAV: presentation times from one pass over the packets, then frames by number.

One decoding thread: threads inside a decoder gained nothing over more actors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import av.error
import av.logging
import numpy as np
from jaxtyping import Float64

from videomac.config import Bounds
from videomac.data import process_limits
from videomac.data.clip import BinaryFile, Picture, check_pixels, check_times
from videomac.data.frame_readers import ByKeyframes, InOrder, Packets, scan
from videomac.data.frame_times import ascending
from videomac.data.picture import aspect_of, picture_of, shown_frame, square_width, treatments_of
from videomac.data.status import BadClip, Code
from videomac.data.streams import open_container, video_stream
from videomac.facts.media import Treatment

av.logging.set_level(av.logging.FATAL)  # we count broken clips; FFmpeg would print a line per packet

DEFAULT_FPS = 25
"""Of a stream that says nothing of its rate."""
BROKEN = (av.error.FFmpegError, ValueError, OSError)
"""What FFmpeg and PyAV raise for bytes that are not a video that they can decode."""


def is_machines_trouble(error: BaseException) -> bool:
    """Return whether an error says something of the disk or the system, and not of the bytes of a clip."""
    theirs = isinstance(error, av.error.FFmpegError)
    codes = process_limits.DISK_OR_DESCRIPTORS if theirs else process_limits.MACHINES_TROUBLE
    return isinstance(error, OSError) and error.errno in codes


class PyavClip:
    """An opened video (see `clip.Clip`): a binary file, or the path of one."""

    def __init__(self, file: BinaryFile | str, bounds: Bounds) -> None:
        self._bounds = bounds
        with contextlib.ExitStack() as if_it_fails, _broken_is_bad():
            self._file = open(file, "rb") if isinstance(file, str) else file  # noqa: SIM115 - open as long as the clip
            if_it_fails.callback(self._file.close)
            container, stream = self._opened()
            self.codec, self.stream_index = stream.codec_context.name, stream.index
            self.nominal_fps = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
            """Frame rate that the container speaks of; times are those of `times_s`."""
            self._aspect = aspect_of(stream)
            self._treatments = {Treatment.OTHER_STREAM} if len(container.streams.video) > 1 else set[Treatment]()
            self._reader, self.times_s = self._read_times(container, stream)
            check_times(self.times_s, bounds)
            if_it_fails.pop_all()

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """What was done so far to make its times and pictures, in the order of `Treatment`."""
        return tuple(treatment for treatment in Treatment if treatment in self._treatments)

    @property
    def is_plain(self) -> bool:
        """Whether its packets, each of them, say which frame is shown when."""
        return isinstance(self._reader, ByKeyframes) and Treatment.TRIMMED not in self._treatments

    def look(self) -> None:
        """Decode the first frame, for its `treatments`.

        Raises:
            BadClip: it cannot be decoded.
        """
        with _broken_is_bad("frame 0: "):
            self._treatments.update(treatments_of(self._reader.frame(0), self._aspect))

    def _opened(self) -> tuple[Any, Any]:
        """Open the container at its start; return it and its stream."""
        self._file.seek(0)
        container = open_container(self._file)
        stream = video_stream(container)
        context = stream.codec_context
        check_pixels(context.width, context.height, self._bounds)
        context.thread_count = 1
        context.options = {"max_pixels": str(self._bounds.max_pixels)}
        return container, stream

    def _read_times(self, container: Any, stream: Any) -> tuple[ByKeyframes | InOrder, Float64[np.ndarray, " t"]]:
        base = float(stream.time_base)
        packets = scan(container, stream)
        if isinstance(packets, Packets):
            if packets.is_trimmed:
                self._treatments.add(Treatment.TRIMMED)
            return ByKeyframes(container, stream, packets), (packets.pts - packets.pts[:1]) * base
        container.close()
        reader = InOrder(self._opened)
        stamps: Sequence[int | None] = reader.stamps()
        if packets.dts is not None:
            stamps = packets.dts if len(packets.dts) == len(stamps) else [None] * len(stamps)
        times, treatments = ascending(stamps, step=1 / (self.nominal_fps * base))
        self._treatments |= treatments
        return reader, (times - times[:1]) * base

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """See `clip.Clip`."""
        for number in numbers:
            with _broken_is_bad(f"frame {number}: "):
                frame = self._reader.frame(number)
                check_pixels(square_width(frame, self._aspect), frame.height, self._bounds)
                picture = picture_of(frame, self._aspect)
            self._treatments.update(treatments_of(frame, self._aspect))
            yield number, picture

    def shown_frames(self, start_s: float, end_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield (seconds, frame) of a part, for an encoder: frames as they are stored where nothing is to be done to
        them, else of RGB.

        Raises:
            BadClip: the bytes cannot be decoded there.
        """
        frames = self._in_sequence() if isinstance(self._reader, ByKeyframes) else self._by_number(start_s)
        for time, frame in frames:
            if time >= end_s:
                return
            if time >= start_s - 1e-6:
                check_pixels(square_width(frame, self._aspect), frame.height, self._bounds)
                yield time, shown_frame(frame, self._aspect)

    def _in_sequence(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decode from the start without a seek, as a player does; the reader is of no use afterwards."""
        self._reader.close()
        container, stream = self._opened()
        first = None
        with contextlib.closing(container), _broken_is_bad():
            for frame in container.decode(stream):
                if frame.pts is not None:
                    first = frame.pts if first is None else first
                    yield (frame.pts - first) * float(frame.time_base), frame

    def _by_number(self, start_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
        for number in range(int(np.searchsorted(self.times_s, start_s - 1e-6)), len(self.times_s)):
            with _broken_is_bad(f"frame {number}: "):
                frame = self._reader.frame(number)
            yield float(self.times_s[number]), frame

    def close(self) -> None:
        """See `clip.Clip`."""
        self._reader.close()
        self._file.close()


@contextlib.contextmanager
def _broken_is_bad(place: str = "") -> Iterator[None]:
    """Turn what FFmpeg raises into `BadClip`; what says nothing of the bytes passes."""
    try:
        yield
    except MemoryError:
        raise
    except BROKEN as error:
        if is_machines_trouble(error):
            raise
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadClip(Code.BROKEN, f"{place}{first_line}") from error
