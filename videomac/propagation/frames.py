"""Frames of a clip, from a folder of images or a video file, and their size under a preset.

Videos are decoded as in training, by the same decoder in a child process, under the bounds of `data.bounds`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from videomac.config import Bounds
from videomac.data.frame_decoder import FrameDecoder
from videomac.data.frames_clip import opened_image, rgb_of
from videomac.data.status import BadClip, Code
from videomac.errors import EvaluationError
from videomac.facts.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from videomac.facts.presets import Preset
from videomac.records.decoding import FramesRequest
from videomac.storage.checksums import sha256_of, sha256_of_pieces


@dataclasses.dataclass(frozen=True)
class Frames:
    """The frames of one clip in order: image files, or the one video file that holds them all."""

    files: tuple[Path, ...]
    bounds: Bounds
    """What the clip may cost."""

    @property
    def is_video(self) -> bool:
        """Whether the frames lie in one video file."""
        return len(self.files) == 1 and suffix_of(self.files[0].name) in VIDEO_SUFFIXES

    @functools.cached_property
    def names(self) -> list[str]:
        """Name of each frame: the stem of its file; in a video its number from 0, five digits.

        Raises:
            EvaluationError: the video cannot be used.
        """
        if not self.is_video:
            return [file.stem for file in self.files]
        with _bad_is_error(self.files[0]):
            return [f"{i:05d}" for i in range(_decoder(self.bounds.model_dump_json()).count(self._video()))]

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """Yield uint8 (H, W, 3) frames from number `start` on.

        Raises:
            EvaluationError: a frame cannot be decoded, exceeds a bound, or differs in size from the first.
        """
        first: tuple[int, ...] | None = None
        for number, frame_hwc in enumerate(self._all(start), start=start):
            first = first or frame_hwc.shape
            if frame_hwc.shape != first:
                place = self.files[0 if self.is_video else number]
                raise EvaluationError(
                    f"{place}: frame {number} is {frame_hwc.shape[1]}x{frame_hwc.shape[0]} px, the frames before it "
                    f"are {first[1]}x{first[0]}; all frames of a clip must have one size"
                )
            yield frame_hwc

    def digest(self) -> str:
        """Return a SHA-256 over all files' bytes."""
        return sha256_of_pieces(bytes.fromhex(sha256_of(read_bytes(file))) for file in self.files)

    def _all(self, start: int) -> Iterator[np.ndarray]:
        if self.is_video:
            with _bad_is_error(self.files[0]):
                yield from _decoder(self.bounds.model_dump_json()).frames(self._video(start))
            return
        for file in self.files[start:]:
            with _bad_is_error(file), opened_image(str(file), "the file", self.bounds) as image:
                frame_hwc = rgb_of(image)
            yield frame_hwc

    def _video(self, start: int = 0) -> FramesRequest:
        return FramesRequest(path=str(self.files[0]), start=start)


@functools.cache
def _decoder(bounds: str) -> FrameDecoder:
    """Return the decoder of this process for these `Bounds` in JSON: its child is started once, not for every clip."""
    return FrameDecoder(Bounds.model_validate_json(bounds))


@contextlib.contextmanager
def _bad_is_error(file: Path) -> Iterator[None]:
    """Turn what decoding finds wrong with a file into an error with advice."""
    try:
        yield
    except BadClip as bad:
        bounded = bad.code in (Code.TIMEOUT, Code.TOO_MANY_PIXELS, Code.TOO_LONG, Code.TOO_MUCH_MEMORY)
        advice = "raise that bound below data.bounds" if bounded else "encode it again, or leave the clip out"
        raise EvaluationError(f"{file}: cannot be used ({bad}); {advice}") from bad


def find_frames(folder: Path, bounds: Bounds) -> Frames:
    """Return the images of a folder in natural order of their names: `frame_2` before `frame_10`.

    Raises:
        EvaluationError: the folder is missing, has no images, or two of one name.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: this folder of frames does not exist")
    files = [file for file in folder.iterdir() if suffix_of(file.name) in IMAGE_SUFFIXES and file.name[0] != "."]
    if not files:
        raise EvaluationError(f"{folder}: has no frames (.{', .'.join(IMAGE_SUFFIXES)})")
    files.sort(key=lambda file: (_natural(file.stem), file.name))
    same = next((pair for pair in itertools.pairwise(files) if pair[0].stem == pair[1].stem), None)
    if same is not None:
        raise EvaluationError(
            f"{folder}: {same[0].name} and {same[1].name} are two files of one frame; expected one: remove the other"
        )
    return Frames(tuple(files), bounds)


def _natural(stem: str) -> list[tuple[int, str]]:
    """Return what sorts names as people count: `frame_2` before `frame_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", stem) if part]


def input_size(native: tuple[int, int], preset: Preset) -> tuple[int, int]:
    """(height, width) of the network's input for frames of `native` (height, width)."""
    if preset.size == "native":
        return native
    assert preset.height is not None
    if preset.size == "fixed":
        assert preset.width is not None
        return preset.height, preset.width
    short, long = min(native), max(native)
    exact = long * preset.height / short
    other = round(exact) if preset.long_multiple == 1 else int(exact // preset.long_multiple) * preset.long_multiple
    return (preset.height, other) if native[0] <= native[1] else (other, preset.height)


def resize(frame_hwc: np.ndarray, size: tuple[int, int], preset: Preset) -> np.ndarray:
    """A uint8 frame at (height, width): antialiased bicubic, or plain bilinear as OpenCV's (rounded to uint8)."""
    if frame_hwc.shape[:2] == size:
        return frame_hwc
    if preset.resize == "bicubic":
        return np.asarray(Image.fromarray(frame_hwc).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    import torch  # the readers themselves need none

    x_bchw = torch.from_numpy(frame_hwc.copy()).permute(2, 0, 1)[None].float()
    y_bchw = torch.nn.functional.interpolate(x_bchw, size=size, mode="bilinear", align_corners=False)
    return y_bchw[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def read_bytes(file: Path) -> bytes:
    """Return a file's content.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read ({error})") from error
