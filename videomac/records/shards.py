"""What a build of shards writes: rows of the index, the JSON beside each sample, rejections, and a record per chunk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pydantic
import pydantic.dataclasses

from videomac.records.base import Record

_ROW = pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True)


SAMPLE_COLUMNS = ("key", "kind", "shard", "offset", "size", "sha256", "fps", "duration")
"""Columns of the index that make a `Sample`, in the order of its fields."""


class Sample(NamedTuple):
    """One clip of the shards: where its bytes lie, and what decoding needs to know about it."""

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


@pydantic.dataclasses.dataclass(frozen=True, slots=True, kw_only=True, config=_ROW)
class IndexRow:
    """One sample: a row of `index.parquet`. Not a model: there may be millions, and a model takes much more memory."""

    key: str
    """Name of the sample in the shard, unique in the data set."""
    kind: str
    """`video`, or `frames`: images that lie one after the other in the tar."""
    shard: str
    """Name of the tar, relative to the manifest's folder."""
    offset: int
    """Where the sample's bytes start in the tar. Of frames: where the first one's tar header starts."""
    size: int
    """Bytes of the sample. Of frames: up to the end of the last one's data."""
    sha256: str
    """Of these bytes."""
    frames: int
    """Number of frames."""
    fps: float
    """Mean frame rate."""
    width: int
    """Of the upright frame, in pixels."""
    height: int
    """Of the upright frame, in pixels."""
    duration: float
    """Seconds from the first frame to the end of the last one."""
    source: str
    """Name of the video or frame folder, relative to what was built from."""
    source_sha256: str
    """Of the source's bytes."""
    segment_start: float
    """Start in the source, in seconds."""
    segment_end: float
    """End in the source, in seconds."""
    split: str
    """`train` or `val`."""

    def to_plain(self) -> dict[str, str | int | float]:
        """Return the row by column name."""
        return {name: getattr(self, name) for name in INDEX_COLUMNS}


INDEX_COLUMNS = tuple(field.name for field in dataclasses.fields(IndexRow))  # pyright: ignore[reportArgumentType]


class SampleFacts(Record):
    """The JSON beside each sample, `KEY.json` in the tar."""

    kind: str
    """`video`, or `frames`: images that lie one after the other in the tar."""
    fps: float
    """Mean frame rate."""
    frames: int
    """Number of frames."""
    width: int
    """Of the upright frame, in pixels."""
    height: int
    """Of the upright frame, in pixels."""
    duration: float
    """Seconds from the first frame to the end of the last one."""
    codec: str
    """FFmpeg's name of the video codec; `images` for frames."""
    source: str
    """Name of the video or frame folder, relative to what was built from."""
    source_sha256: str
    """Of the source's bytes."""
    segment_start: float
    """Start in the source, in seconds."""
    segment_end: float
    """End in the source, in seconds."""
    split: str
    """`train` or `val`."""
    sha256: str = ""
    """As in the index."""


class Rejection(Record):
    """A source that did not become a sample: a line of `rejected.jsonl`."""

    source: str
    """Its name, relative to what was built from."""
    reason: str
    """One word: `broken`, `missing`, `duplicate`, ..."""
    detail: str
    """What was found."""


class ShardRecord(Record):
    """A finished shard."""

    name: str
    """Name of the tar."""
    bytes: int
    """Size of the tar."""
    sha256: str
    """Of the tar."""
    rows: tuple[IndexRow, ...]
    """Its samples, in the order of the tar."""


class ChunkRecord(Record):
    """What became of one chunk of sources: `.build/NNNNNN.json`."""

    fingerprint: str
    """SHA-256 over the settings, library versions and sources that the chunk's shards depend on."""
    shards: tuple[ShardRecord, ...]
    """None, one or several."""
    rejected: tuple[Rejection, ...]
    """Its sources that did not become samples."""
    content_digest: str
    """SHA-256 over names, bytes and splits of its sources."""
    treated: dict[str, int] = {}
    """Clips whose pictures or times were changed, by what was done (`facts.media.Treatment`)."""
    left: tuple[str, ...] = ()
    """Shards that an earlier build of this chunk has left, until the build that follows removes them."""

    @property
    def names(self) -> set[str]:
        """Every shard that is this build's own, those that are being written included."""
        return {*self.left, *(shard.name for shard in self.shards)}


def sorted_json(record: Record) -> bytes:
    """JSON with sorted keys: shards and rejections of equal builds are equal byte for byte."""
    return json.dumps(record.to_plain(), sort_keys=True).encode()
