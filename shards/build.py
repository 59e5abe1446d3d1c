"""`videomac build-shards`: sources become shards in parallel Ray tasks, then a manifest and an index.

Sources are dealt into chunks by their bytes, in the order of their names, so that the result does not depend on who
works how fast. A chunk becomes one shard or a few, and a record beside them (`.build/NNNNNN.json`); an interrupted
build verifies the shards of finished chunks and goes on with the others.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import av

from videomac.config import BuildShards, check_inputs
from videomac.data import index
from videomac.data.manifest import Manifest, Shard, read_manifest
from videomac.distributed.cluster import bounded_map, connected, task, visible_demand
from videomac.errors import ConfigError, DataError
from videomac.storage.checksums import sha256_of as sha256_of_bytes
from videomac.storage.storage import Storage

from .chunk import OUT, make_chunk, sha256_of
from .sources import Source, duplicate_candidates, find_sources, splits

Progress = Callable[[int, int, str], None]
"""(chunks done, chunks in all, what was done)."""

REENCODED_CHUNKS = 8
"""Re-encoding shrinks by an unknown factor: chunks hold up to this many shards' worth of source bytes, and small
collections are dealt into about this many chunks, so that several tasks have work."""
# What does not change a byte of the output.
NO_SETTINGS = {"source", "out", "storage_options", "parallel"}


def build_shards(config: BuildShards, on_progress: Progress | None = None) -> Manifest:
    """Builds, or goes on with, the shards of `config.out`; returns their manifest.

    Raises:
        StorageError: source or target cannot be read or written.
        ConfigError: the source does not exist, or the target holds shards of other settings.
        DataError: no source, or none that became a sample.
    """
    check_inputs(config)
    out = Storage(config.out, config.storage_options, advice=OUT)
    _refuse_other_settings(out, config)
    sources = find_sources(config)
    with connected():
        sources, duplicates = _without_duplicates(sources, config)
        chunks = deal(sources, config)
        records = _run(chunks, splits(sources, config.val_share), config, on_progress or _print_progress)
    return _finish(out, records, duplicates, config)


def deal(sources: Sequence[Source], config: BuildShards) -> list[list[Source]]:
    """Consecutive sources, about a shard's worth of bytes each."""
    limit = config.shard_mb * 2**20
    if config.reencode:
        total = sum(source.size for source in sources)
        limit = min(max(total / REENCODED_CHUNKS, limit / REENCODED_CHUNKS), limit * REENCODED_CHUNKS)
    chunks: list[list[Source]] = []
    size = 0.0
    for source in sources:
        if not chunks or size >= limit:
            chunks.append([])
            size = 0.0
        chunks[-1].append(source)
        size += source.size
    return chunks


def _refuse_other_settings(out: Storage, config: BuildShards) -> None:
    if not out.exists("manifest.json"):
        return
    before, now = read_manifest(out).settings, _settings(config)
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        changes = ", ".join(f"{key}: {before.get(key)!r} -> {now.get(key)!r}" for key in differing)
        raise ConfigError(f"out: {out.root} holds shards of other settings ({changes}); choose another folder")


def _settings(config: BuildShards) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=NO_SETTINGS)


def _without_duplicates(sources: Sequence[Source], config: BuildShards) -> tuple[list[Source], list[dict[str, str]]]:
    """The sources without later copies of the same bytes, and the copies as rejections."""
    candidates = duplicate_candidates(sources)
    hashing = task(sha256_of)
    hashed = bounded_map(lambda source: hashing(source, config.storage_options), candidates)
    digests = {source.name: outcome.result() for source, outcome in hashed}
    first: dict[str, str] = {}
    rejected = []
    for source in candidates:
        original = first.setdefault(digests[source.name], source.name)
        if original != source.name:
            rejected.append({"source": source.name, "reason": "duplicate", "detail": f"same bytes as {original}"})
    names = {row["source"] for row in rejected}
    return [source for source in sources if source.name not in names], rejected


def _run(
    chunks: Sequence[Sequence[Source]], split: dict[str, str], config: BuildShards, on_progress: Progress
) -> list[dict[str, Any]]:
    """Build every chunk as a task, at most `parallel` at a time; return the records in the order of the chunks."""
    building, versions = task(make_chunk), libraries()
    records: dict[int, dict[str, Any]] = {}

    def submit(item: tuple[int, Sequence[Source]]) -> Any:
        number, chunk = item
        return building(number, list(chunk), {source.name: split[source.name] for source in chunk}, config, versions)

    for (number, _), outcome in bounded_map(submit, enumerate(chunks), config.parallel or visible_demand):
        records[number] = outcome.result()
        on_progress(len(records), len(chunks), _summary(records[number]))
    return [records[number] for number in range(len(chunks))]


def _summary(record: dict[str, Any]) -> str:
    samples = sum(len(shard["rows"]) for shard in record["shards"])
    kept = " (kept)" if record["kept"] else ""
    rejected = f", {len(record['rejected'])} rejected" if record["rejected"] else ""
    return f"{samples} clips{rejected}{kept}"


def _print_progress(done: int, total: int, what: str) -> None:
    print(f"shards: {done} of {total} chunks, {what}", flush=True)


def _finish(
    out: Storage, records: Sequence[dict[str, Any]], duplicates: list[dict[str, str]], config: BuildShards
) -> Manifest:
    """Writes index, rejections and, last, the manifest: a build without one is not finished."""
    shards = [shard for record in records for shard in record["shards"]]
    rejected = [*duplicates, *(row for record in records for row in record["rejected"])]
    if not shards:
        first = rejected[0] if rejected else {"source": config.source, "reason": "empty", "detail": ""}
        raise DataError(
            f"{config.source}: none of {len(rejected)} sources became a sample; first: {first['source']}: "
            f"{first['reason']} ({first['detail']})"
        )
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rejected)
    out.write("rejected.jsonl", "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
    manifest = write_manifest(out, shards, rejected, _settings(config), libraries(), _digest(records))
    _remove_stale(out, manifest)
    return manifest


def write_manifest(
    out: Storage,
    shards: Sequence[dict[str, Any]],
    rejected: Sequence[dict[str, str]],
    settings: dict[str, Any],
    libraries: dict[str, str],
    source_digest: str = "",
) -> Manifest:
    """`index.parquet` and `manifest.json` of shards given as records with their rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, index.NAME)
        info = index.write_index(path, (shard["rows"] for shard in shards))
        out.upload(index.NAME, path)
    rows = [row for shard in shards for row in shard["rows"]]
    manifest = Manifest(
        shards=tuple(_shard(shard) for shard in shards),
        index=info,
        samples=dict(sorted(collections.Counter(row["split"] for row in rows).items())),
        frames=sum(row["frames"] for row in rows),
        seconds=round(sum(row["duration"] for row in rows), 3),
        rejected=dict(sorted(collections.Counter(row["reason"] for row in rejected).items())),
        settings=settings,
        libraries=libraries,
        source_digest=source_digest,
    )
    content = manifest.to_json()
    out.write("manifest.json", content)
    return Manifest.model_validate_json(content)


def _shard(record: dict[str, Any]) -> Shard:
    rows = record["rows"]
    return Shard(
        name=record["name"],
        bytes=record["bytes"],
        sha256=record["sha256"],
        samples=len(rows),
        frames=sum(row["frames"] for row in rows),
        seconds=round(sum(row["duration"] for row in rows), 3),
    )


def libraries() -> dict[str, str]:
    """Versions that the bytes of shards and index depend on."""
    ffmpeg = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    return {"av": importlib.metadata.version("av"), "pyarrow": importlib.metadata.version("pyarrow"), **ffmpeg}


def _digest(records: Sequence[dict[str, Any]]) -> str:
    return sha256_of_bytes("".join(record["content_digest"] for record in records).encode())


def _remove_stale(out: Storage, manifest: Manifest) -> None:
    """Removes shards of an earlier deal of more sources."""
    current = {shard.name for shard in manifest.shards}
    for entry in out.list():
        if entry.name.endswith(".tar") and entry.name not in current and entry.name.startswith("clips-"):
            out.remove(entry.name)
