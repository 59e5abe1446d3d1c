"""`videomac verify-shards`: is everything there, unchanged, and decodable? One Ray task per shard."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from videomac.config import Bounds, VerifyShards, with_absolute_places
from videomac.data.frame_decoder import FrameDecoder
from videomac.data.index import NAME, Index
from videomac.data.manifest import open_storage, read_manifest
from videomac.data.status import BadClip
from videomac.distributed.cluster import bounded_map, connected, task
from videomac.errors import DataError, StorageError
from videomac.records.decoding import FramesRequest
from videomac.records.manifest import Manifest, Shard
from videomac.records.shards import SAMPLE_COLUMNS, Sample
from videomac.storage.checksums import check_sha256
from videomac.storage.storage import Storage

from .tarball import fetched, tar_problems

MOST_SHOWN = 5


def verify_shards(config: VerifyShards) -> Manifest:
    """Check every shard against manifest and index, and decode the first and the last frame of one sample of each.

    Raises:
        DataError: something differs; the message names the first findings.
        StorageError: manifest or index cannot be read.
    """
    config = with_absolute_places(config)
    storage, name = open_storage(config.manifest, config.storage_options)
    manifest = read_manifest(storage, name, first=True)
    problems, total = _index_problems(storage, manifest), len(manifest.shards)
    found: dict[int, list[str]] = {}
    with connected():
        verifying = task(shard_problems)
        for number, outcome in bounded_map(lambda number: verifying(storage, name, number), range(total)):
            found[number] = outcome.result()
            print(f"verified {len(found)} of {total} shards, {sum(map(len, found.values()))} problems", flush=True)
    problems += [problem for number in range(total) for problem in found[number]]
    if problems:
        shown = "; ".join(problems[:MOST_SHOWN])
        more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
        raise DataError(f"{storage.root}: {shown}{more}; remove these shards and build them again (build-shards)")
    samples = ", ".join(f"{count} {split}" for split, count in manifest.samples.items())
    print(f"{storage.root}: {len(manifest.shards)} shards, {samples} samples: all as the manifest says", flush=True)
    return manifest


def _index_problems(storage: Storage, manifest: Manifest) -> list[str]:
    if storage.sha256(NAME) != manifest.index.sha256:
        return [f"{NAME}: its sha256 is not the manifest's"]
    found = sum(manifest.samples.values())
    counted = sum(shard.samples for shard in manifest.shards)
    return [] if found == counted else [f"manifest.json: {found} samples by split, but {counted} by shard"]


def shard_problems(storage: Storage, manifest_name: str, number: int) -> list[str]:
    """Return what is wrong with one shard, a line each."""
    manifest = read_manifest(storage, manifest_name)
    shard = manifest.shards[number]
    rows = Index(storage, manifest).shard_rows(number, [*SAMPLE_COLUMNS, "frames"])
    samples = [Sample.from_row(row) for row in rows.select(SAMPLE_COLUMNS).to_pylist()]
    frames = sum(rows.column("frames").to_pylist())
    try:
        with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
            path = fetched(storage, shard.name, folder)
            if (len(samples), frames) != (shard.samples, shard.frames):
                return [f"{shard.name}: index and manifest count different numbers of samples or frames"]
            return _local_problems(Storage(os.path.dirname(path)), os.path.basename(path), shard, samples)
    except StorageError as error:
        return [f"{shard.name}: {error}"]


def _local_problems(folder: Storage, file: str, shard: Shard, samples: Sequence[Sample]) -> list[str]:
    size, digest = folder.entry(file).size, folder.sha256(file)
    if (size, digest) != (shard.bytes, shard.sha256):
        return [f"{shard.name}: {size} bytes with sha256 {digest[:12]}..., not as in the manifest"]
    problems = tar_problems(folder.url(file))
    for sample in samples:
        try:
            folder.read(file, sample.offset, sample.size_bytes, check_sha256(sample.sha256))
        except StorageError:
            problems.append(f"{shard.name}: {sample.key}: the bytes at {sample.offset} are not what the index says")
    if samples and not problems:
        problems += decoding_problems(folder.read(file, samples[0].offset, samples[0].size_bytes), samples[0])
    return problems


def decoding_problems(content: bytes, sample: Sample) -> list[str]:
    """Return why a sample cannot be decoded, if so: its first and its last frame are tried."""
    clip = FramesRequest(kind=sample.kind, fps=sample.fps)
    try:
        with contextlib.closing(FrameDecoder(Bounds())) as decoder:
            decoder.frame(clip, 0, content)
            decoder.frame(clip, decoder.count(clip, content) - 1, content)
    except BadClip as bad:
        return [f"{sample.shard}: {sample.key}: {bad}"]
    return []
