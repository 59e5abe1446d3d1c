"""Suffixes of the files that are taken for videos and images, in the order in which they are looked for, and what may
be done to their pictures and times."""

from __future__ import annotations

import enum

VIDEO_SUFFIXES = (
    "mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "ts", "m2ts", "mts", "wmv", "flv", "ogv", "3gp",
)  # fmt: skip
IMAGE_SUFFIXES = ("jpg", "jpeg", "png")


class Treatment(str, enum.Enum):
    """What makes pictures or times of a clip other than those that its decoder gives; counted and shown by kind."""

    ROTATED = "rotated"
    FLIPPED = "flipped"
    SQUARE_PIXELS = "square_pixels"
    DEINTERLACED = "deinterlaced"
    TONE_MAPPED = "tone_mapped"
    EIGHT_BITS = "eight_bits"
    ALPHA_IGNORED = "alpha_ignored"
    OTHER_STREAM = "other_stream"
    TRIMMED = "trimmed"
    TIMES_REPAIRED = "times_repaired"
    TIMES_JOINED = "times_joined"
    NUMBERS_MISSING = "numbers_missing"

    def __str__(self) -> str:
        return self.value

    @property
    def phrase(self) -> str:
        """The treatment in words, for screen and page."""
        return _PHRASES[self]


_PHRASES = {
    Treatment.ROTATED: "rotated as their metadata say",
    Treatment.FLIPPED: "mirrored as their metadata say",
    Treatment.SQUARE_PIXELS: "resampled to square pixels",
    Treatment.DEINTERLACED: "deinterlaced",
    Treatment.TONE_MAPPED: "tone-mapped from HDR to SDR",
    Treatment.EIGHT_BITS: "scaled from 16 bits to 8, by the full range",
    Treatment.ALPHA_IGNORED: "with transparency, which is ignored",
    Treatment.OTHER_STREAM: "with cover art, stills or further videos, which are left out",
    Treatment.TRIMMED: "with frames that an edit list hides, which are left out",
    Treatment.TIMES_REPAIRED: "with missing, equal or disordered times, which are filled in",
    Treatment.TIMES_JOINED: "with times that start again, which are carried on",
    Treatment.NUMBERS_MISSING: "with gaps in the numbers of their frames",
}


def suffix_of(name: str) -> str:
    """Return what follows the last dot of a file's name, in lower case and without the dot; empty if there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""
