"""Small videos whose every frame tells its number, and shards without pixels, for the tests of the data path."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videomac import config
from videomac.data import index
from videomac.data.manifest import seal
from videomac.data.recipe import Recipe, recipe_of
from videomac.records.manifest import Manifest, Shard
from videomac.records.shards import ShardRecord
from videomac.storage.storage import Storage

LEVEL = 5
"""Grey levels between one frame and the next."""


def number_of(picture_hw3: np.ndarray) -> int:
    """Which frame of `write_video` a picture is."""
    return round(float(picture_hw3.mean()) / LEVEL)


def write_video(
    path: Path,
    frames: int = 24,
    ticks: Sequence[int] | None = None,
    per_second: int = 24,
    size: tuple[int, int] = (64, 48),
    keyframe_every: int = 8,
    b_frames: int = 0,
) -> Path:
    """Frames of one grey each, 5 levels apart; `ticks` are their times in units of 1 / per_second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=per_second)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, per_second)
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.options = {"qp": "1", "preset": "ultrafast", "x264-params": "scenecut=0"}
        for number in range(frames):
            grey = np.full((size[1], size[0], 3), number * LEVEL, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = ticks[number] if ticks else number
            frame.time_base = Fraction(1, per_second)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def index_row(key: str, shard: str, **values: Any) -> dict[str, Any]:
    """A row of the index with plain values."""
    row = {
        "kind": "video", "offset": 0, "size": 1, "sha256": "0" * 64, "frames": 24, "fps": 24.0, "width": 64,
        "height": 48, "duration": 1.0, "source": key, "source_sha256": "0" * 64, "segment_start": 0.0,
        "segment_end": 1.0, "split": "train",
    }  # fmt: skip
    return {"key": key, "shard": shard, **row, **values}


def write_index(folder: Path, shards: Sequence[Sequence[dict[str, Any]]]) -> str:
    """Manifest and index of rows by shard; the tars are one byte each. Returns the manifest's path."""
    storage = Storage(str(folder))
    info = index.write_index(str(folder / index.NAME), [list(rows) for rows in shards])
    records = []
    for rows in shards:
        storage.write(rows[0]["shard"], b"x")
        frames, seconds = sum(r["frames"] for r in rows), sum(r["duration"] for r in rows)
        records.append(
            Shard(name=rows[0]["shard"], bytes=1, sha256="0" * 64, samples=len(rows), frames=frames, seconds=seconds)
        )
    every = [row for rows in shards for row in rows]
    manifest = Manifest(
        shards=tuple(records),
        index=info,
        samples={split: sum(r["split"] == split for r in every) for split in {r["split"] for r in every}},
        frames=sum(r["frames"] for r in every),
        seconds=sum(r["duration"] for r in every),
        rejected={},
        settings={},
        libraries={},
    )
    storage.write("manifest.json", seal(manifest))
    return str(folder / "manifest.json")


def write_shards(folder: Path, videos: Sequence[Path], per_shard: int = 2, val: Sequence[str] = ()) -> str:
    """Real shards of these videos, without Ray; those named in `val` are held out. Returns the manifest's path."""
    from shards.chunk import make_chunk
    from shards.finish import write_manifest
    from shards.sources import find_sources

    settings = build_settings(source=str(videos[0].parent), out=str(folder), shard_mb=1000.0, min_duration_s=0.0)
    names = {video.name for video in videos}
    sources = [source for source in find_sources(settings.source, {}, None).sources if source.files[0].name in names]
    shards: list[ShardRecord] = []
    for number, first in enumerate(range(0, len(sources), per_shard)):
        part = sources[first : first + per_shard]
        shards += make_chunk(number, part, _splits(part, val), settings, {}).record.shards
    write_manifest(Storage(str(folder)), shards)
    return str(folder / "manifest.json")


def _splits(sources: Sequence[Any], val: Sequence[str]) -> dict[str, str]:
    return {source.name: "val" if source.files[0].name in val else "train" for source in sources}


def build_settings(**values: Any) -> config.BuildShards:
    """Build settings with defaults for what is not given."""
    return config.validate(config.BuildShards, values, origin="test")


def pretrain_settings(manifest: str, **dotted: Any) -> config.Pretrain:
    """A run on small pictures: 16 pairs an update, 4 at a time, 2 from an opened clip."""
    tree = {
        "run": {"name": "test"},
        "data": {"manifest": manifest, "image_size": [64, 64], "gap_s": [0.1, 0.3], "pairs_per_second": 4.0},
        "train": {"steps": 10, "batch_size": 16, "micro_batch": 4},
    }
    settings = config.validate(config.Pretrain, tree, origin="test")
    return settings.with_values(**dotted)


def recipe_for(settings: config.Pretrain) -> Recipe:
    """What the rows of a run depend on."""
    return recipe_of(settings.data, settings.model, settings.run.seed)
