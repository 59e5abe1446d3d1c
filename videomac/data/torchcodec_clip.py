"""Decode clips with torchcodec, an extra that needs FFmpeg's shared libraries: a third faster per pair than PyAV.

torchcodec has no public way to get all presentation times without decoding, so they come from PyAV's pass over the
packets; frame numbers agree, because both count the same packets in order of presentation.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator

from torchcodec.decoders import VideoDecoder  # pyright: ignore - an extra

from videomac.config import Bounds
from videomac.data.clip import Picture, check_pixels
from videomac.data.pyav_clip import PyavClip
from videomac.data.status import BadClip, Code
from videomac.storage.entries import Content

BROKEN = (RuntimeError, ValueError, IndexError)
OUT_OF_MEMORY = "allocate memory"
"""torch's RuntimeError says so ("can't allocate memory", "could not allocate memory")."""


class TorchcodecClip:
    """An opened video (see `clip.Clip`)."""

    def __init__(self, content: Content, bounds: Bounds) -> None:
        scanned = PyavClip(io.BytesIO(content), bounds)
        self.times_s = scanned.times_s
        stream = scanned.stream_index  # torchcodec would choose the best stream, PyAV takes the first
        scanned.close()
        self._bounds = bounds
        with _broken_is_bad():
            self._decoder = VideoDecoder(
                bytes(content), stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=1
            )
        if len(self._decoder) != len(self.times_s):
            raise BadClip(Code.BROKEN, f"{len(self._decoder)} frames by torchcodec, {len(self.times_s)} packets")

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """See `clip.Clip`."""
        for number in numbers:
            with _broken_is_bad(f"frame {number}: "):
                picture_hw3 = self._decoder.get_frame_at(number).data.numpy()
            check_pixels(picture_hw3.shape[1], picture_hw3.shape[0], self._bounds)
            yield number, picture_hw3

    def close(self) -> None:
        """See `clip.Clip`."""
        del self._decoder


@contextlib.contextmanager
def _broken_is_bad(place: str = "") -> Iterator[None]:
    """Turn what torchcodec raises into `BadClip`; running out of memory says nothing of the bytes: MemoryError."""
    try:
        yield
    except BROKEN as error:
        if OUT_OF_MEMORY in str(error):
            raise MemoryError(str(error)) from error
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadClip(Code.BROKEN, f"{place}{first_line}") from error
