"""`videomac verify-shards`: is everything there, unchanged, and decodable? One Ray task per shard."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

from videomac.config import Augment, Bounds, VerifyShards
from videomac.data.index import NAME, Index
from videomac.data.manifest import Manifest, Shard, open_storage, read_manifest
from videomac.data.recipe import Recipe
from videomac.data.row_maker import DECODER
from videomac.records.shards import SAMPLE_COLUMNS, Sample
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Child
from videomac.distributed.cluster import bounded_map, connected, task
from videomac.errors import DataError, StorageError
from videomac.storage.checksums import check_sha256
from videomac.storage.storage import Storage

from .tarball import fetched, member_names

MOST_SHOWN = 5
ALL_COLUMNS = [*SAMPLE_COLUMNS, "frames"]


def verify_shards(config: VerifyShards) -> Manifest:
    """Checks every shard against manifest and index, and decodes a pair of one sample of each.

    Raises:
        DataError: something differs; the message names the first findings.
        StorageError: manifest or index cannot be read.
    """
    storage, name = open_storage(config.manifest, config.storage_options)
    manifest = read_manifest(storage, name, first=True)
    problems, total = _index_problems(storage, manifest), len(manifest.shards)
    with connected():
        verifying, found = task(shard_problems), dict[int, list[str]]()
        for number, outcome in bounded_map(lambda number: verifying(storage, name, number), range(total)):
            found[number] = outcome.result()
            print(f"verified {len(found)} of {total} shards, {sum(map(len, found.values()))} problems", flush=True)
    problems += [problem for number in range(total) for problem in found[number]]
    if problems:
        shown = "; ".join(problems[:MOST_SHOWN])
        more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
        raise DataError(f"{storage.root}: {shown}{more}; build these shards anew (remove them and run build-shards)")
    samples = ", ".join(f"{count} {split}" for split, count in manifest.samples.items())
    print(f"{storage.root}: {len(manifest.shards)} shards, {samples} samples: all as the manifest says", flush=True)
    return manifest


def _index_problems(storage: Storage, manifest: Manifest) -> list[str]:
    if storage.sha256(NAME) != manifest.index.sha256:
        return [f"{NAME}: sha256 is not the manifest's"]
    found = sum(manifest.samples.values())
    counted = sum(shard.samples for shard in manifest.shards)
    return [] if found == counted else [f"manifest.json: {found} samples by split, {counted} by shard"]


def shard_problems(storage: Storage, manifest_name: str, number: int) -> list[str]:
    """What is wrong with one shard, a line each."""
    manifest = read_manifest(storage, manifest_name)
    shard = manifest.shards[number]
    rows = Index(storage, manifest).shard_rows(number, ALL_COLUMNS).to_pylist()
    try:
        with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
            path = fetched(storage, shard.name, folder)
            return _local_problems(Storage(os.path.dirname(path)), os.path.basename(path), shard, rows)
    except StorageError as error:
        return [f"{shard.name}: {error}"]


def _local_problems(folder: Storage, file: str, shard: Shard, rows: Sequence[dict[str, Any]]) -> list[str]:
    size, digest = folder.entry(file).size, folder.sha256(file)
    if (size, digest) != (shard.bytes, shard.sha256):
        return [f"{shard.name}: {size} bytes with sha256 {digest[:12]}..., not as in the manifest"]
    if (len(rows), sum(row.pop("frames") for row in rows)) != (shard.samples, shard.frames):
        return [f"{shard.name}: counts of index and manifest differ"]
    problems = member_names(folder.url(file))
    samples = [Sample.from_row(row) for row in rows]
    for sample in samples:
        try:
            folder.read(file, sample.offset, sample.size_bytes, check_sha256(sample.sha256))
        except StorageError:
            problems.append(f"{shard.name}: {sample.key}: bytes at {sample.offset} are not what the index says")
    if samples and not problems:
        problems += _decoding_problems(folder, file, samples[0])
    return problems


def _decoding_problems(folder: Storage, file: str, sample: Sample) -> list[str]:
    recipe = Recipe(
        seed=0,
        cell_count=4,
        visible_count=1,
        image_size=(32, 32),
        pair_sampling="uniform",
        gap_s=(0.0, sample.duration_s),
        augment=Augment(),
        downscale_first=True,
        decoder="pyav",
        bounds=Bounds(),
    )
    child = Child(DECODER, recipe.to_plain())
    header = {"key": sample.key, "sample": sample._asdict(), "slots": [(0, 0, 1)]}
    try:
        content = folder.read(file, sample.offset, sample.size_bytes)
        answer, _ = child.call(header, content, recipe.bounds.decode_timeout_s)
        code = Code(answer["codes"][0])
    except BadClip as bad:
        code = bad.code
    finally:
        child.close()
    return [] if code in (Code.GOOD, Code.NO_PAIR) else [f"{sample.shard}: {sample.key}: {code.reason}"]
