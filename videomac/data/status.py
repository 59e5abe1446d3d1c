"""Why a row of the plan has no pixels: one code per row; 0 is good."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """Reasons as they are counted, reported and kept; the numbers are in batches and checkpoints."""

    GOOD = 0
    NO_PAIR = 1
    """No two different frames a gap apart in eight draws."""
    BROKEN = 2
    """The decoder or the demuxer refuses the bytes."""
    CRASH = 3
    """The decoding process crashed (segmentation fault and the like), twice."""
    TIMEOUT = 4
    """Decoding exceeded `bounds.decode_timeout_s`, twice."""
    TOO_MANY_PIXELS = 5
    """A frame is larger than `bounds.max_pixels`."""
    TOO_LONG = 6
    """The sample is longer than `bounds.max_duration_s`."""
    TOO_MANY_BYTES = 7
    """The sample is larger than `bounds.max_bytes`, or what is made of it larger than `bounds.max_file_mb`."""
    TOO_MUCH_MEMORY = 8
    """Decoding needs more than `bounds.max_memory_mb`, twice."""

    DAMAGED = 9
    """The sample's bytes in the shard are not those of the index."""

    @property
    def reason(self) -> str:
        """The word for reports: `no_pair`, `broken`, ..."""
        return self.name.lower()


REMEMBERED = frozenset({Code.CRASH, Code.TIMEOUT, Code.TOO_MUCH_MEMORY})
"""Codes that cost a decoding process: clips with one are remembered by key and never decoded again."""


class BadClip(Exception):  # noqa: N818 - a finding about a clip, not an error of the program
    """A clip that cannot be used, with its code: the run goes on without it."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code.reason}: {detail}")
        self.code = code
        self.detail = detail
