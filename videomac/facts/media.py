"""Suffixes of the files that are taken for videos and images, in the order in which they are looked for."""

from __future__ import annotations

VIDEO_SUFFIXES = (
    "mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "ts", "m2ts", "mts", "wmv", "flv", "ogv", "3gp",
)  # fmt: skip
IMAGE_SUFFIXES = ("jpg", "jpeg", "png")


def suffix_of(name: str) -> str:
    """Return what follows the last dot of a file's name, in lower case and without the dot; empty if there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""
