"""Frames that carry their number as black and white bars, with another colour in each corner; and how to read them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

BITS = 10
WIDTH, HEIGHT = 160, 96
CORNERS = {"TL": (255, 0, 0), "TR": (0, 255, 0), "BL": (0, 0, 255), "BR": (255, 255, 0)}


def bars(number: int) -> np.ndarray:
    """The frame of this number."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for name, colour in CORNERS.items():
        picture[_corner(name, HEIGHT, WIDTH)] = colour
    picture[32:64] = 0
    for bit in range(BITS):
        if number >> bit & 1:
            picture[32:64, 16 * bit : 16 * bit + 16] = 255
    return picture


def number_in(picture: np.ndarray) -> int:
    """The number that an upright frame carries, whatever its size."""
    height, width, _ = picture.shape
    band = picture[int(height * 0.42) : int(height * 0.58)].astype(float).mean((0, 2))
    return sum(int(band[round((bit + 0.5) * width / BITS)] > 127) << bit for bit in range(BITS))


def corners_of(picture: np.ndarray) -> list[str]:
    """Which corner of the frame lies at top left, top right, bottom left and bottom right."""
    seen = [picture[_corner(name, *picture.shape[:2])].reshape(-1, 3).mean(0) for name in CORNERS]
    return [min(CORNERS, key=lambda name: float(np.abs(CORNERS[name] - colour).sum())) for colour in seen]


def _corner(name: str, height: int, width: int) -> tuple[slice, slice]:
    rows = slice(0, height // 5) if name[0] == "T" else slice(height - height // 5, height)
    return rows, slice(0, width // 6) if name[1] == "L" else slice(width - width // 6, width)


def encode(path: Path, *arguments: str, numbers: Iterable[int] = range(36), rate: str = "25") -> Path:
    """Let ffmpeg encode these frames with these arguments."""
    pixels = b"".join(bars(number).tobytes() for number in numbers)
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate, "-i", "-")
    ffmpeg(*raw, *arguments, str(path), content=pixels)
    return path


def ffmpeg(*arguments: str, content: bytes = b"") -> bytes:
    """Run ffmpeg and return its output."""
    command = ["ffmpeg", "-v", "error", "-nostdin" if not content else "-y", "-threads", "1", *arguments]
    done = subprocess.run(command, input=content or None, capture_output=True, check=True)
    return done.stdout


def shown_by_ffmpeg(path: Path) -> list[np.ndarray]:
    """All frames as ffmpeg shows them, at the size of `bars`."""
    size = ("-vf", f"scale={WIDTH}:{HEIGHT}", "-vsync", "passthrough")
    pixels = ffmpeg("-i", str(path), *size, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return list(np.frombuffer(pixels, np.uint8).reshape(-1, HEIGHT, WIDTH, 3))
