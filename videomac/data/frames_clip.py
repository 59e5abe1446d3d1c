"""Clips that are images: the frames of a frame folder, one after the other in a tar."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import ExifTags, Image, ImageOps

from videomac.config import Bounds
from videomac.data.clip import BinaryFile, Picture, check_pixels, check_times
from videomac.data.status import BadClip, Code
from videomac.facts.media import IMAGE_SUFFIXES, Treatment
from videomac.storage.entries import Content

END_OF_TAR = bytes(3 * tarfile.BLOCKSIZE)
"""A piece of a tar lacks the last member's padding and the two zero blocks that end an archive."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MOST_16_BIT = 65_535
ORIENTATIONS = dict.fromkeys((3, 6, 8), Treatment.ROTATED) | dict.fromkeys((2, 4, 5, 7), Treatment.FLIPPED)
"""What an EXIF orientation asks for; 1 is upright."""
UNREADABLE = (OSError, ValueError, SyntaxError)
"""What PIL raises for bytes that are not an image."""


@contextlib.contextmanager
def opened_image(file: BinaryFile | str, place: str, bounds: Bounds) -> Iterator[Image.Image]:
    """Open an image within `bounds.max_pixels`; `place` names it in errors.

    Raises:
        BadClip: it is not an image of `FORMATS`, it has too many pixels, or its pixels cannot be decoded in the block.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            check_pixels(image.width, image.height, bounds)
            if image.mode == "F":
                raise BadClip(
                    Code.BROKEN, f"{place} has floating-point pixels, whose range is not known; make it 8-bit"
                )
            yield image
    except Image.DecompressionBombError as error:  # beyond PIL's own bound
        raise BadClip(Code.TOO_MANY_PIXELS, f"{place}: {error}") from error
    except UNREADABLE as error:
        raise BadClip(Code.BROKEN, f"{place} is not a readable image of {', '.join(FORMATS)} ({error})") from error


def rgb_of(image: Image.Image) -> Picture:
    """Return an image upright, as uint8 RGB; 16 bits are scaled by their full range, transparency is ignored."""
    upright = ImageOps.exif_transpose(image)
    if not is_16_bit(upright):
        return np.asarray(upright.convert("RGB"))
    grey = (np.asarray(upright).astype(np.int64).clip(0, MOST_16_BIT) + 128) // 257
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def is_16_bit(image: Image.Image) -> bool:
    """Return whether an image is grey with more than 8 bits: PIL would cut it off at 255."""
    return image.mode.startswith("I")


def image_treatments(image: Image.Image) -> frozenset[Treatment]:
    """Return what `rgb_of` does to this image beside converting it to RGB."""
    turns = ORIENTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    found = {turns} if turns else set[Treatment]()
    if is_16_bit(image):
        found.add(Treatment.EIGHT_BITS)
    if "transparency" in image.info or ("A" in image.getbands() and np.asarray(image.getchannel("A")).min() < 255):
        found.add(Treatment.ALPHA_IGNORED)
    return frozenset(found)


def split_name(name: str) -> tuple[str, str]:
    """Return key and extension as WebDataset defines them: the base name is cut at its first dot."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def frame_order(name: str) -> tuple[int, str] | None:
    """Return what orders the frames of a clip: the number in `KEY.NUMBER.SUFFIX`; None of any other name."""
    number, dot, suffix = split_name(name)[1].partition(".")
    return (int(number), name) if dot and number.isdecimal() and suffix in IMAGE_SUFFIXES else None


def _frames(members: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Return the members of the clip that the piece begins with, in the order of their numbers: those of others, labels
    and texts may lie between them."""
    key = split_name(members[0].name)[0] if members else ""
    own = [(order, m) for m in members if (order := frame_order(m.name)) and split_name(m.name)[0] == key]
    return [member for _, member in sorted(own, key=lambda ordered: ordered[0])] if own else members


class FramesClip:
    """Image members of a piece of a tar, shown at a constant frame rate (see `clip.Clip`)."""

    def __init__(self, content: Content, fps: float, bounds: Bounds) -> None:
        try:
            stream = io.BytesIO(b"".join((content, END_OF_TAR)))
            self._tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - open as long as the clip
            self._members = _frames([member for member in self._tar.getmembers() if member.isfile()])
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
                picture = rgb_of(image)
            yield number, picture

    def close(self) -> None:
        """See `clip.Clip`."""
        self._tar.close()
