"""`videomac build-shards`: sources become shards in parallel Ray tasks, then a manifest and an index.

Sources are dealt into chunks by their bytes, in the order of their names, so that the result does not depend on who
works how fast. A chunk becomes one shard or a few, and a record beside them (`.build/NNNNNN.json`); an interrupted
build verifies the shards of finished chunks and goes on with the others.
"""

from __future__ import annotations

import collections
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence

from videomac.config import BuildShards, check_inputs, with_absolute_places
from videomac.data.manifest import read_manifest
from videomac.distributed.cluster import bounded_map, connected, task, visible_demand
from videomac.errors import ConfigError, DataError
from videomac.records.manifest import Manifest
from videomac.records.shards import ChunkRecord, Rejection
from videomac.storage.checksums import sha256_of
from videomac.storage.storage import Storage

from .chunk import OUT, UNREADABLE, BuiltChunk, make_chunk, settings_of, source_sha256
from .finish import account, libraries, write_manifest, write_rejections
from .own_files import own_files, remove_stale
from .sources import Source, duplicate_candidates, find_sources, printable, splits

Progress = Callable[[int, int, str], None]
"""(chunks done, chunks in all, what was done)."""

NO_LISTING = "a folder whose files cannot be listed"
REENCODED_CHUNKS = 8
"""Re-encoding shrinks by an unknown factor: chunks hold up to this many shards' worth of source bytes, and small
collections are dealt into about this many chunks, so that several tasks have work."""


def build_shards(config: BuildShards, on_progress: Progress | None = None) -> Manifest:
    """Build the shards of `config.out`, or go on with them; return their manifest.

    Raises:
        StorageError: source or target cannot be read or written.
        ConfigError: the source does not exist, or the target holds shards built with other settings.
        DataError: there are no sources, or none of them became a sample.
    """
    check_inputs(config)
    config = with_absolute_places(config)
    out = Storage(config.out, config.storage_options, advice=OUT)
    earlier = _earlier_manifest(out, config)
    found = find_sources(config.source, config.storage_options, config.fps)
    with connected():
        sources, duplicates = _without_duplicates(found.sources, config)
        chunks = deal(sources, config.shard_mb * 2**20, config.reencode)
        own = own_files(out, earlier, len(chunks))
        records = _run(chunks, splits(sources, config.val_share), config, on_progress or _print_progress)
    folders = (f"{printable(name)}/" for name in found.unreadable)
    unread = [Rejection(source=folder, reason=UNREADABLE, detail=NO_LISTING) for folder in folders]
    manifest = _finish(out, records, [*duplicates, *unread], found.left_out, config)
    print(account(manifest, len(found.sources)), flush=True)
    remove_stale(out, own.difference(shard.name for shard in manifest.shards), len(chunks))
    return manifest


def deal(sources: Sequence[Source], shard_bytes: float, reencode: bool) -> list[list[Source]]:
    """Return runs of consecutive sources, of about a shard's worth of bytes each."""
    limit = shard_bytes
    if reencode:
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


def _earlier_manifest(out: Storage, config: BuildShards) -> Manifest | None:
    """Return the manifest of an earlier build, which must have had the same settings."""
    if not out.exists("manifest.json"):
        return None
    manifest = read_manifest(out)
    before, now = manifest.settings, settings_of(config)
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        changes = ", ".join(f"{key}: {before.get(key)!r} -> {now.get(key)!r}" for key in differing)
        raise ConfigError(
            f"out: {out.root} holds shards built with other settings ({changes}); choose another folder, or remove "
            "these shards"
        )
    return manifest


def _without_duplicates(sources: Sequence[Source], config: BuildShards) -> tuple[list[Source], list[Rejection]]:
    """Return the sources without later copies of the same bytes, and the copies as rejections."""
    candidates, hashing = duplicate_candidates(sources), task(source_sha256)
    hashed = bounded_map(lambda source: hashing(source, config.storage_options), candidates)
    digests = {source.name: outcome.result() for source, outcome in hashed}
    first: dict[str, str] = {}
    originals = {source.name: first.setdefault(digests[source.name], source.name) for source in candidates}
    copies = {name: original for name, original in originals.items() if name != original}
    rejected = [
        Rejection(source=printable(name), reason="duplicate", detail=f"same bytes as {printable(original)}")
        for name, original in copies.items()
    ]
    return [source for source in sources if source.name not in copies], rejected


def _run(
    chunks: Sequence[Sequence[Source]], split: dict[str, str], config: BuildShards, on_progress: Progress
) -> list[ChunkRecord]:
    """Build every chunk as a task, at most `parallel` at a time; return the records in the order of the chunks."""
    building, versions = task(make_chunk), libraries()
    records: dict[int, ChunkRecord] = {}
    work = (
        (number, list(chunk), {source.name: split[source.name] for source in chunk})
        for number, chunk in enumerate(chunks)
    )
    limit = config.parallel or visible_demand
    for (number, _, _), outcome in bounded_map(lambda item: building(*item, config, versions), work, limit):
        built = outcome.result()
        records[number] = built.record
        on_progress(len(records), len(chunks), _summary(built))
    return [records[number] for number in range(len(chunks))]


def _summary(built: BuiltChunk) -> str:
    samples = sum(len(shard.rows) for shard in built.record.shards)
    kept = " (kept)" if built.is_kept else ""
    rejected = f", {len(built.record.rejected)} rejected" if built.record.rejected else ""
    return f"{samples} clips{rejected}{kept}"


def _print_progress(done: int, total: int, what: str) -> None:
    print(f"shards: {done} of {total} chunks, {what}", flush=True)


def _finish(
    out: Storage,
    records: Sequence[ChunkRecord],
    dropped: list[Rejection],
    left_out: Mapping[str, int],
    config: BuildShards,
) -> Manifest:
    shards = [shard for record in records for shard in record.shards]
    rejected = [*dropped, *(one for record in records for one in record.rejected)]
    if not shards:
        first = rejected[0] if rejected else Rejection(source=config.source, reason="empty", detail="")
        raise DataError(
            f"{config.source}: none of {len(rejected)} sources became a sample; the first one, {first.source}: "
            f"{first.reason} ({first.detail})"
        )
    write_rejections(out, rejected)
    versions = libraries() | {"webdataset": importlib.metadata.version("webdataset")}
    treated = sum((collections.Counter(record.treated) for record in records), collections.Counter[str]())
    return write_manifest(out, shards, rejected, settings_of(config), versions, _digest(records), left_out, treated)


def _digest(records: Sequence[ChunkRecord]) -> str:
    return sha256_of("".join(record.content_digest for record in records).encode())
