"""One clip of the shards, as the index names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SAMPLE_COLUMNS = ("key", "kind", "shard", "offset", "size", "sha256", "fps", "duration")
"""Columns of the index that make a `Sample`, in the order of its fields."""


class Sample(NamedTuple):
    """Where a clip's bytes lie, and what decoding needs to know about it."""

    key: str
    """Identity of the clip: every draw depends on it."""
    kind: str
    """`video`, or `frames` for images in one range of a tar."""
    shard: str
    """Name of the tar."""
    offset: int
    """First byte in the shard."""
    size_bytes: int
    """Bytes from there on."""
    sha256: str
    """Checksum of these bytes."""
    fps: float
    """Frames per second."""
    duration_s: float
    """Length of the clip, in seconds."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Sample:
        """Return the sample of a row of the index, given by column."""
        return cls(*(row[name] for name in SAMPLE_COLUMNS))
