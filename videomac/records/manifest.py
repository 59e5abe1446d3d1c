"""What `manifest.json` holds: which shards there are, and what they were built with (`data/manifest.py` reads it)."""

from __future__ import annotations

import re
from typing import Any, Literal

import pydantic
import pydantic.dataclasses

from videomac.records.base import Record

UNSEALED = "0" * 64
"""Stands for the checksum while it is computed."""
SHARD_NAME = re.compile(r"(?!.*(^|/)\.)[\w./=+@ -]+\.tar")
"""Relative names without hidden or parent folders."""


@pydantic.dataclasses.dataclass(
    frozen=True, slots=True, config=pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class Shard:
    """One tar. Not a model: there may be fifty thousand of them, and an instance of a model takes a kilobyte."""

    name: str
    """Path of the tar below the manifest's folder."""
    bytes: int
    """Length of the tar."""
    sha256: str
    """Checksum of the tar."""
    samples: int
    """Samples in the tar."""
    frames: int
    """Frames of its samples."""
    seconds: float
    """Duration of its samples."""

    @pydantic.field_validator("name")
    @classmethod
    def _stays_inside(cls, name: str) -> str:
        if not SHARD_NAME.fullmatch(name) or name.startswith("/"):
            raise ValueError(f"shard name {name!r}: expected a relative path that ends in .tar")
        return name


class IndexFile(Record):
    """`index.parquet`, and its footer by itself, so that a reader can check what it fetched by range."""

    bytes: int
    """Length of the file."""
    sha256: str
    """Checksum of the file."""
    footer_bytes: int
    """Length of the footer, which ends the file."""
    footer_sha256: str
    """Checksum of the footer."""


class Manifest(Record):
    """`manifest.json`: everything that is needed to notice a changed or damaged shard."""

    version: Literal[1] = 1
    """Number of this format."""
    shards: tuple[Shard, ...]
    """The tars, in the order of the index."""
    index: IndexFile
    """The index beside the manifest."""
    samples: dict[str, int]
    """Samples of each split."""
    frames: int
    """Frames of all samples."""
    seconds: float
    """Duration of all samples."""
    rejected: dict[str, int]
    """Sources that did not become samples, by reason; `rejected.jsonl` names them."""
    left_out: dict[str, int] = {}
    """Files below the source that are no clips, by suffix or kind."""
    treated: dict[str, int] = {}
    """Clips whose pictures or times were changed, by what was done (docs/material.md)."""
    settings: dict[str, Any]
    """Keys of the build's configuration that the shards depend on: whatever that version of the program had."""
    libraries: dict[str, str]
    """Versions that the shards depend on."""
    source_digest: str = ""
    """SHA-256 over names, lengths and splits of the sources."""
    checksum: str = UNSEALED
    """SHA-256 of the file with zeros in this place."""

    @property
    def digest(self) -> str:
        """Identifies the data set in checkpoints and results: the first 12 hex digits of the checksum."""
        return self.checksum[:12]
