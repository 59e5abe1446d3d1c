"""An opened clip: its frame times, and frames by number. PyAV by default, torchcodec by choice, images from a tar.

Three classes, one protocol (`Clip`). Times are seconds from the first frame. Pictures come upright (rotation metadata
is applied) as uint8 RGB of shape (h, w, 3).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from videomac.config import Bounds
from videomac.data.status import BadClip, Code
from videomac.errors import DataError
from videomac.storage.entries import Content

END_OF_TAR = bytes(3 * tarfile.BLOCKSIZE)
"""A piece of a tar lacks the last member's padding and the two zero blocks that end an archive."""


class Clip(Protocol):
    """What pair making asks of a clip."""

    times_s: np.ndarray
    """Presentation time of every frame, ascending, float64."""

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """(number, picture) for frame numbers given in ascending order.

        Raises:
            BadClip: the bytes cannot be decoded there.
        """
        ...

    def close(self) -> None:
        """Frees the decoder."""
        ...


def open_clip(content: Content, kind: str, fps: float, decoder: str, bounds: Bounds) -> Clip:
    """Opens a sample's bytes; `kind` and `fps` as in the index.

    Raises:
        BadClip: a bound is passed, or the bytes are no video.
    """
    if kind == "frames":
        return FramesClip(content, fps, bounds)
    if decoder == "torchcodec":
        from videomac.data.torchcodec_clip import TorchcodecClip

        return TorchcodecClip(content, bounds)
    from videomac.data.pyav_clip import PyavClip

    return PyavClip(io.BytesIO(content), bounds)


def decoder_version(decoder: str) -> str:
    """Name and version of the decoder, as checkpoints keep it.

    Raises:
        DataError: its library cannot be imported: every clip would look broken, so nothing starts.
    """
    try:
        if decoder == "torchcodec":
            import torchcodec  # pyright: ignore - an extra

            return f"torchcodec {torchcodec.__version__}"  # pyright: ignore - an extra
        import av
    except (ImportError, OSError, RuntimeError) as error:
        hint = "pip install av" if decoder == "pyav" else "pip install torchcodec, and FFmpeg's shared libraries"
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DataError(
            f"data.decoder={decoder}: cannot be imported ({first_line}); install it ({hint}) or choose another decoder"
        ) from error
    return f"pyav {av.__version__}"


def check_pixels(width: int, height: int, bounds: Bounds) -> None:
    """Raises `BadClip` for frames beyond `bounds.max_pixels`."""
    if width * height > bounds.max_pixels:
        raise BadClip(Code.TOO_MANY_PIXELS, f"frames of {width}x{height} px, allowed are {bounds.max_pixels} pixels")


def check_times(times_s: np.ndarray, bounds: Bounds) -> None:
    """Raises `BadClip` for a clip without frames or beyond `bounds.max_duration_s`."""
    if not len(times_s):
        raise BadClip(Code.BROKEN, "no video frame")
    if times_s[-1] - times_s[0] > bounds.max_duration_s:
        raise BadClip(Code.TOO_LONG, f"{times_s[-1] - times_s[0]:.1f} s of video, allowed: {bounds.max_duration_s:g} s")


class FramesClip:
    """Frames of a frame folder: JPEG or PNG members of a piece of tar, at a constant frame rate."""

    def __init__(self, content: Content, fps: float, bounds: Bounds) -> None:
        try:
            stream = io.BytesIO(b"".join((content, END_OF_TAR)))
            self._tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - open as long as the clip
            self._members = [member for member in self._tar.getmembers() if member.isfile()]
        except tarfile.TarError as error:
            raise BadClip(Code.BROKEN, f"no tar members ({error})") from error
        self._bounds = bounds
        self.times_s = np.arange(len(self._members)) / fps
        check_times(self.times_s, bounds)

    def _opened(self, number: int) -> Image.Image:
        member = self._tar.extractfile(self._members[number])
        try:
            image = Image.open(member, formats=("JPEG", "PNG"))  # type: ignore[arg-type]
            check_pixels(image.width, image.height, self._bounds)
            return ImageOps.exif_transpose(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise BadClip(Code.BROKEN, f"frame {number} is no JPEG or PNG ({error})") from error

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Clip`."""
        for number in numbers:
            try:
                with self._opened(number) as image:
                    picture = np.asarray(image.convert("RGB"))
            except (OSError, ValueError, SyntaxError) as error:
                raise BadClip(Code.BROKEN, f"frame {number} cannot be decoded ({error})") from error
            yield number, picture

    def close(self) -> None:
        """See `Clip`."""
        self._tar.close()
