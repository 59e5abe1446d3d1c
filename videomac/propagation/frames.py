"""Frames of a clip, from a folder of images or a video file, and their size under a preset."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from videomac.errors import EvaluationError
from videomac.facts.presets import Preset
from videomac.storage.checksums import sha256_of, sha256_of_pieces

IMAGES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")


@dataclasses.dataclass(frozen=True)
class Frames:
    """The frames of one clip in order: image files, or the one video file that holds them all."""

    files: tuple[Path, ...]

    @property
    def is_video(self) -> bool:
        """Whether the frames lie in one video file."""
        return len(self.files) == 1 and self.files[0].suffix.lower() in VIDEOS

    @functools.cached_property
    def names(self) -> list[str]:
        """Name of each frame: the stem of its file; in a video its number from 0, five digits."""
        if not self.is_video:
            return [file.stem for file in self.files]
        return [f"{i:05d}" for i, _ in enumerate(_decode(self.files[0]))]

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """uint8 (H, W, 3) frames from number `start` on.

        Raises:
            EvaluationError: a frame cannot be decoded, or differs in size from the first.
        """
        size: tuple[int, ...] | None = None
        for number, (frame_hwc, place) in enumerate(self._all(start), start=start):
            size = size or frame_hwc.shape
            if frame_hwc.shape != size:
                raise EvaluationError(
                    f"{place}: frame {number} is {frame_hwc.shape[1]}x{frame_hwc.shape[0]}, the frames before it "
                    f"{size[1]}x{size[0]}; a clip has one size"
                )
            yield frame_hwc

    def digest(self) -> str:
        """SHA-256 of all files' bytes."""
        return sha256_of_pieces(bytes.fromhex(sha256_of(read_bytes(file))) for file in self.files)

    def _all(self, start: int) -> Iterator[tuple[np.ndarray, Path]]:
        if self.is_video:
            for number, frame_hwc in enumerate(_decode(self.files[0])):
                if number >= start:
                    yield frame_hwc, self.files[0]
            return
        for file in self.files[start:]:
            try:
                with Image.open(file) as image:
                    yield np.asarray(image.convert("RGB")), file
            except (OSError, ValueError) as error:
                raise EvaluationError(f"{file}: not a readable image ({error})") from error


def find_frames(folder: Path) -> Frames:
    """The images of a folder by name (by number where all names are numbers).

    Raises:
        EvaluationError: no folder, or no image in it.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder of frames")
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGES and not file.name.startswith(".")]
    if not files:
        raise EvaluationError(f"{folder}: holds no {'/'.join(IMAGES)} frame")
    numbers = all(file.stem.isdigit() for file in files)
    return Frames(tuple(sorted(files, key=lambda file: (int(file.stem) if numbers else 0, file.stem))))


def read_ids(path: Path) -> np.ndarray:
    """Label ids of an indexed or grey PNG, uint8 (H, W).

    Raises:
        EvaluationError: missing, unreadable, or a colour image.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1", "I", "I;16"):
                raise EvaluationError(
                    f"{path}: mode {image.mode}; labels are indexed or grey PNGs whose values are ids"
                )
            ids_hw = np.array(image)
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: annotation missing") from error
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: annotation cannot be read ({error})") from error
    if ids_hw.max(initial=0) > 255:
        raise EvaluationError(f"{path}: label id {ids_hw.max()}; ids are at most 254 (255 is void)")
    return ids_hw.astype(np.uint8)


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


def _decode(path: Path) -> Iterator[np.ndarray]:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                frame_hwc = frame.to_ndarray(format="rgb24")
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield np.ascontiguousarray(np.rot90(frame_hwc, turns)) if turns else frame_hwc
    except (FFmpegError, IndexError, OSError) as error:
        raise EvaluationError(f"{path}: video cannot be decoded ({error})") from error


def read_bytes(file: Path) -> bytes:
    """Return a file's content.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read ({error})") from error
