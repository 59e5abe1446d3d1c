"""Decode clips with torchcodec, an extra that needs FFmpeg's shared libraries: a third faster per pair than PyAV.

torchcodec has no public way to get all presentation times without decoding, so they come from PyAV's pass over the
packets; frame numbers agree, because both count the same packets in order of presentation. Clips whose pictures or
times need a treatment that torchcodec does not know are left to PyAV, so that both decoders show the same.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator

from torchcodec.decoders import VideoDecoder  # pyright: ignore - an extra

from videomac.config import Bounds
from videomac.data.clip import Clip, Picture, check_pixels
from videomac.data.pyav_clip import PyavClip
from videomac.data.status import BadClip, Code
from videomac.facts.media import Treatment
from videomac.storage.entries import Content

BROKEN = (RuntimeError, ValueError, IndexError)
OUT_OF_MEMORY = "allocate memory"
"""torch's RuntimeError says so ("can't allocate memory", "could not allocate memory")."""


KNOWN = frozenset({Treatment.ROTATED, Treatment.OTHER_STREAM, Treatment.ALPHA_IGNORED})
"""Treatments that torchcodec gives as PyAV does."""


def open_torchcodec(content: Content, bounds: Bounds) -> Clip:
    """Open a video with torchcodec, or with PyAV where only that makes the picture that a player shows.

    Raises:
        BadClip: as `open_clip`.
    """
    scanned = PyavClip(io.BytesIO(content), bounds)
    try:
        scanned.look()
    except BadClip:
        scanned.close()
        raise
    if not scanned.is_plain or set(scanned.treatments) - KNOWN:
        return scanned
    scanned.close()
    return TorchcodecClip(content, scanned, bounds)


class TorchcodecClip:
    """An opened video (see `clip.Clip`), whose times and stream are those that PyAV has found."""

    def __init__(self, content: Content, scanned: PyavClip, bounds: Bounds) -> None:
        self.times_s = scanned.times_s
        self._bounds = bounds
        with _broken_is_bad():
            self._decoder = VideoDecoder(
                bytes(content), stream_index=scanned.stream_index, dimension_order="NHWC", num_ffmpeg_threads=1
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
