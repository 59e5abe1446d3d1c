"""What an opened clip is, and the bounds that every decoder checks.

Three classes follow the protocol: `PyavClip`, `TorchcodecClip` and, for images in a tar, `FramesClip`;
`open_clip.open_clip` chooses. Times are seconds from the first frame. Pictures come upright (rotation metadata is
applied) as uint8 RGB of shape (h, w, 3).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, UInt8

from videomac.config import Bounds
from videomac.data.status import BadClip, Code

if TYPE_CHECKING:
    BinaryFile = IO[bytes]
else:  # no file is an instance of `typing.IO`
    BinaryFile = io.BufferedIOBase
Picture = UInt8[np.ndarray, "_ _ 3"]
"""A frame, upright: height, width, and red, green and blue."""


@runtime_checkable
class Clip(Protocol):
    """An opened clip: its frame times, and frames by number."""

    times_s: Float64[np.ndarray, " t"]
    """Presentation time of every frame, ascending."""

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """Yield (number, picture) for frame numbers given in ascending order.

        Raises:
            BadClip: the bytes cannot be decoded there.
        """
        ...

    def close(self) -> None:
        """Free the decoder."""
        ...


def check_pixels(width: int, height: int, bounds: Bounds) -> None:
    """Raise `BadClip` for frames beyond `bounds.max_pixels`."""
    if width * height > bounds.max_pixels:
        raise BadClip(
            Code.TOO_MANY_PIXELS, f"frames of {width}x{height} px, more than bounds.max_pixels = {bounds.max_pixels}"
        )


def check_times(times_s: Float64[np.ndarray, " t"], bounds: Bounds) -> None:
    """Raise `BadClip` for a clip without frames or beyond `bounds.max_duration_s`."""
    if not len(times_s):
        raise BadClip(Code.BROKEN, "no video frame")
    if times_s[-1] - times_s[0] > bounds.max_duration_s:
        raise BadClip(
            Code.TOO_LONG,
            f"{times_s[-1] - times_s[0]:.1f} s of video, more than bounds.max_duration_s = {bounds.max_duration_s:g}",
        )
