"""What lies beside files that the processes of a node share (`storage/node_cache.py`)."""

from __future__ import annotations

from videomac.records.base import Record


class CachedFile(Record):
    """One file of a finished folder."""

    bytes: int
    """Its length."""
    mtime_ns: int
    """When it was written: another time is another file."""
    sha256: str
    """Checksum of its content."""


class CachedFolder(Record):
    """`cached.json`, written last."""

    files: dict[str, CachedFile]
    """By name."""
