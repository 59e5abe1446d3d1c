"""One clip of the shards, as the index names it."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),  # video, or frames (images in one tar range)
        ("shard", pa.dictionary(pa.int32(), pa.string())),
        ("offset", pa.int64()),  # bytes from the shard's begin
        ("size", pa.int64()),  # video: of the member's data; frames: first frame's header to last frame's data
        ("sha256", pa.string()),  # of these bytes
        ("frames", pa.int32()),
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("duration", pa.float64()),  # seconds
        ("source", pa.string()),
        ("source_sha256", pa.string()),
        ("segment_start", pa.float64()),  # seconds in the source
        ("segment_end", pa.float64()),
        ("split", pa.dictionary(pa.int8(), pa.string())),  # train or val
    ]
)
"""Columns of `index.parquet`."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Where a clip's bytes lie and what decoding needs to know of it."""

    key: str
    kind: str
    shard: str
    offset: int
    size: int
    sha256: str
    fps: float
    duration: float


SAMPLE_COLUMNS = tuple(field.name for field in dataclasses.fields(Sample))
