"""One clip of the shards, as the index names it."""

from __future__ import annotations

import dataclasses


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
