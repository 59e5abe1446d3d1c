"""Write what closes a build: `rejected.jsonl`, `index.parquet` and, last, `manifest.json`.

Shards without a manifest are a build that is not finished.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import av

from videomac.data import index
from videomac.data.manifest import seal
from videomac.facts.media import Treatment
from videomac.records.manifest import Manifest, Shard
from videomac.records.shards import IndexRow, Rejection, ShardRecord
from videomac.storage.storage import Storage
from videomac.text import counted

from .sources import describe_left_out


def libraries() -> dict[str, str]:
    """Return the versions that the bytes of clips and index depend on."""
    ffmpeg = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"av": importlib.metadata.version("av"), "pyarrow": importlib.metadata.version("pyarrow"), **ffmpeg}


def write_rejections(out: Storage, rejected: Sequence[Rejection]) -> None:
    """Write a line for every source that did not become a sample, in an order of their own."""
    lines = sorted(json.dumps(one.to_plain(), sort_keys=True, ensure_ascii=False) for one in rejected)
    out.write("rejected.jsonl", "".join(line + "\n" for line in lines).encode())


def write_manifest(
    out: Storage,
    shards: Sequence[ShardRecord],
    rejected: Sequence[Rejection] = (),
    settings: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    source_digest: str = "",
    left_out: Mapping[str, int] | None = None,
    treated: Mapping[str, int] | None = None,
) -> Manifest:
    """Write `index.parquet` and `manifest.json` of finished shards; return the manifest.

    Args:
        out: folder of the shards.
        shards: in the order of the manifest.
        rejected: sources that did not become samples; the manifest counts them.
        settings: what the shards were built with: keys of `BuildShards`.
        versions: of the libraries that they were built with.
        source_digest: identifies the sources.
        left_out: files that are no clips, by kind.
        treated: clips by what was done to their pictures and times.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, index.NAME)
        info = index.write_index(path, ([row.to_plain() for row in shard.rows] for shard in shards))
        out.upload(index.NAME, path)
    rows = [row for shard in shards for row in shard.rows]
    manifest = Manifest(
        shards=tuple(_shard(shard) for shard in shards),
        index=info,
        samples=dict(sorted(collections.Counter(row.split for row in rows).items())),
        frames=sum(row.frames for row in rows),
        seconds=_seconds(rows),
        rejected=dict(sorted(collections.Counter(one.reason for one in rejected).items())),
        left_out=dict(sorted((left_out or {}).items())),
        treated=dict(sorted((treated or {}).items())),
        settings=dict(settings or {}),
        libraries=dict(versions or {}),
        source_digest=source_digest,
    )
    content = seal(manifest)
    out.write("manifest.json", content)
    return Manifest.model_validate_json(content)


def _shard(record: ShardRecord) -> Shard:
    return Shard(
        name=record.name,
        bytes=record.bytes,
        sha256=record.sha256,
        samples=len(record.rows),
        frames=sum(row.frames for row in record.rows),
        seconds=_seconds(record.rows),
    )


def _seconds(rows: Sequence[IndexRow]) -> float:
    return round(sum(row.duration for row in rows), 3)


def account(manifest: Manifest, sources: int) -> str:
    """Return what became of every file, for the screen."""
    clips, rejected = sum(manifest.samples.values()), sum(manifest.rejected.values())
    lines = [f"{counted(clips, 'clip')} from {counted(sources, 'source')}, {rejected} rejected"]
    if manifest.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in manifest.rejected.items())
        lines.append(f"rejected: {reasons} (rejected.jsonl names them)")
    if manifest.left_out:
        lines.append(describe_left_out(manifest.left_out))
    lines += [f"{counted(count, 'clip')} {Treatment(name).phrase}" for name, count in manifest.treated.items()]
    return "\n".join(lines)
