"""Clips that are images: the frames of a frame folder, one after the other in a tar."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image, ImageOps

from videomac.config import Bounds
from videomac.data.clip import BinaryFile, Picture, check_pixels, check_times
from videomac.data.status import BadClip, Code
from videomac.storage.entries import Content

END_OF_TAR = bytes(3 * tarfile.BLOCKSIZE)
"""A piece of a tar lacks the last member's padding and the two zero blocks that end an archive."""
UNREADABLE = (OSError, ValueError, SyntaxError)
"""What PIL raises for bytes that are not an image."""


@contextlib.contextmanager
def opened_image(file: BinaryFile | str, place: str, bounds: Bounds) -> Iterator[Image.Image]:
    """Open a JPEG or PNG within `bounds.max_pixels`; `place` names it in errors.

    Raises:
        BadClip: it is not such an image, it has too many pixels, or its pixels cannot be decoded in the block.
    """
    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            check_pixels(image.width, image.height, bounds)
            yield image
    except Image.DecompressionBombError as error:  # beyond PIL's own bound
        raise BadClip(Code.TOO_MANY_PIXELS, f"{place}: {error}") from error
    except UNREADABLE as error:
        raise BadClip(Code.BROKEN, f"{place} is not a readable JPEG or PNG ({error})") from error


class FramesClip:
    """JPEG or PNG members of a piece of a tar, shown at a constant frame rate (see `clip.Clip`)."""

    def __init__(self, content: Content, fps: float, bounds: Bounds) -> None:
        try:
            stream = io.BytesIO(b"".join((content, END_OF_TAR)))
            self._tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - open as long as the clip
            self._members = [member for member in self._tar.getmembers() if member.isfile()]
        except tarfile.TarError as error:
            raise BadClip(Code.BROKEN, f"not a piece of a tar ({error})") from error
        self._bounds = bounds
        self.times_s = np.arange(len(self._members)) / fps
        check_times(self.times_s, bounds)

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """See `clip.Clip`."""
        for number in numbers:
            member = self._tar.extractfile(self._members[number])
            assert member is not None  # only regular files are members
            with opened_image(member, f"frame {number}", self._bounds) as image:
                picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            yield number, picture

    def close(self) -> None:
        """See `clip.Clip`."""
        self._tar.close()
