"""`videomac index-shards`: a manifest and an index for WebDataset tars that others made. The tars stay as they are.

A sample is a video member (`KEY.mp4` and the like), or two and more images `KEY.NUMBER.jpg|png|...` with a `KEY.json`
that has `fps`, in any order and with whatever lies between them. One Ray task per tar.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import tarfile
import tempfile
from collections.abc import Sequence

from videomac.config import Bounds, IndexShards, with_absolute_places
from videomac.data.status import BadClip
from videomac.data.subprocess_worker import Child
from videomac.distributed.cluster import bounded_map, connected, task
from videomac.errors import ConfigError, DataError
from videomac.records.decoding import MadeClip, SourceAnswer, SourceRequest
from videomac.records.manifest import SHARD_NAME, Manifest
from videomac.records.shards import IndexRow, Rejection, ShardRecord
from videomac.storage.checksums import sha256_of_file, sha256_of_range
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage
from videomac.text import counted

from .convert import PROBER
from .finish import account, libraries, write_manifest, write_rejections
from .members import TarSample, UnusableError, read_tar, total
from .sources import printable
from .tarball import fetched, member_problems

TARS = Advice(missing="give another folder of tars", access="set storage_options")


BAD_TAR, BAD_NAME = "tar", "name"
"""Reasons of tars that are not indexed, or not to their end."""
MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class IndexedTar:
    """What became of one tar."""

    shard: ShardRecord
    rejected: list[Rejection]
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    treated: dict[str, int] = dataclasses.field(default_factory=dict)


def index_shards(config: IndexShards) -> Manifest:
    """Read every `*.tar` below the prefix once; write `manifest.json`, `index.parquet` and `rejected.jsonl` there.

    Raises:
        DataError: there are no tars, or none with a usable video; or a tar cannot be read to its end, which is said
            after all else is written.
        ConfigError: there is a manifest already.
    """
    config = with_absolute_places(config)
    out = Storage(config.tars, config.storage_options, advice=TARS)
    if out.exists("manifest.json"):
        raise ConfigError(f"{out.root}: has a manifest.json already; remove it to index the tars again")
    names, odd = _tar_names(out)
    found: dict[str, IndexedTar] = {}
    with connected():
        indexing = task(index_shard)
        for name, outcome in bounded_map(lambda name: indexing(out, name), names):
            tar = found[name] = outcome.result()
            print(f"{name}: {counted(len(tar.shard.rows), 'clip')}, {len(tar.rejected)} rejected", flush=True)
    rejected = [*odd, *(one for name in names for one in found[name].rejected)]
    shards = with_unique_keys([found[name].shard for name in names if found[name].shard.rows])
    if not shards:
        first = f"; the first one rejected, {rejected[0].source}: {rejected[0].detail}" if rejected else ""
        raise DataError(f"{out.root}: no usable video in {counted(len(names), 'tar')}, {len(rejected)} rejected{first}")
    write_rejections(out, rejected)
    left_out, treated = total(tar.left_out for tar in found.values()), total(tar.treated for tar in found.values())
    manifest = write_manifest(out, shards, rejected, {"indexed": True}, libraries(), left_out=left_out, treated=treated)
    print(account(manifest, sum(manifest.samples.values()) + sum(manifest.rejected.values())), flush=True)
    bad = [one.source for one in rejected if one.reason in (BAD_TAR, BAD_NAME) and one.source.endswith(".tar")]
    if bad:
        raise DataError(
            f"{out.root}: {counted(len(bad), 'tar')} could not be read to the end ({', '.join(bad[:MOST_NAMED])}; "
            "rejected.jsonl says why); the index holds everything else and can be used"
        )
    return manifest


def _tar_names(out: Storage) -> tuple[list[str], list[Rejection]]:
    """Return the tars that a manifest can name, and the others as rejections."""
    names = [entry.name for entry in out.list() if entry.name.endswith(".tar")]
    if not names:
        raise DataError(f"{out.root}: no *.tar below it; give the folder or prefix of WebDataset shards")
    detail = "the tar's name has characters other than letters, digits and ./=+@_- ; rename it"
    odd = [name for name in names if not SHARD_NAME.fullmatch(name)]
    rejected = [Rejection(source=printable(name), reason=BAD_NAME, detail=detail) for name in odd]
    return [name for name in names if name not in odd], rejected


def with_unique_keys(shards: Sequence[ShardRecord]) -> list[ShardRecord]:
    """Prefix keys that repeat with their shard: a clip's random draws depend on its key."""
    counts = collections.Counter(row.key for shard in shards for row in shard.rows)

    def unique(row: IndexRow) -> IndexRow:
        if counts[row.key] == 1:
            return row
        return dataclasses.replace(row, key=f"{row.shard.removesuffix('.tar')}/{row.key}")

    return [shard.model_copy(update={"rows": tuple(map(unique, shard.rows))}) for shard in shards]


def index_shard(storage: Storage, name: str) -> IndexedTar:
    """Return the record of one tar, and what of it cannot be used."""
    with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
        path = fetched(storage, name, folder)
        content = read_tar(path)
        rejected = [Rejection(source=name, reason=BAD_TAR, detail=content.problem)] if content.problem else []
        outside = member_problems(sample.members for sample in content.samples)
        if outside:
            return IndexedTar(_record(path, name, ()), [Rejection(source=name, reason=BAD_TAR, detail=outside)])
        with contextlib.closing(_Prober(path, name, folder)) as prober:
            found = [prober.row(sample) for sample in content.samples]
        rows = tuple(one for one in found if isinstance(one, IndexRow))
        rejected += [one for one in found if isinstance(one, Rejection)]
        return IndexedTar(_record(path, name, rows), rejected, content.left_out, dict(prober.treated))


def _record(path: str, name: str, rows: tuple[IndexRow, ...]) -> ShardRecord:
    return ShardRecord(name=name, bytes=os.path.getsize(path), sha256=sha256_of_file(path), rows=rows)


class _Prober:
    """Extracts samples of one tar and probes them in a child process."""

    def __init__(self, path: str, shard: str, folder: str) -> None:
        self._path, self._shard, self._folder = path, shard, folder
        bounds = Bounds()
        self.treated: collections.Counter[str] = collections.Counter()
        self._child = Child(PROBER, bounds.model_dump_json().encode(), bounds)

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def row(self, sample: TarSample) -> IndexRow | Rejection:
        """Return the index row of a sample, or why it cannot be used."""
        source = f"{self._shard}/{sample.key}"
        if source != printable(source):
            return Rejection(source=printable(source), reason="name", detail="the member's name is not UTF-8")
        try:
            fps, split = sample.facts()
            clip = self._probed(sample, fps)
        except UnusableError as unusable:
            return Rejection(source=source, reason=unusable.reason, detail=unusable.detail)
        except BadClip as bad:
            return Rejection(source=source, reason=bad.code.reason, detail=bad.detail)
        self.treated.update(treatment.value for treatment in clip.treatments)
        digest = sha256_of_range(self._path, sample.start, sample.end)
        return IndexRow(
            key=sample.key, kind=sample.kind, shard=self._shard, offset=sample.start, size=sample.end - sample.start,
            sha256=digest, frames=clip.frames, fps=clip.fps, width=clip.width, height=clip.height,
            duration=clip.duration, source=source, source_sha256=digest, segment_start=0.0,
            segment_end=clip.duration, split=split,
        )  # fmt: skip

    def _probed(self, sample: TarSample, fps: float | None) -> MadeClip:
        files = tuple(self._extracted(member) for member in sample.members)
        try:
            request = SourceRequest(op="probe", kind=sample.kind, files=files, fps=fps)
            return self._child.call(request, SourceAnswer, what=sample.key)[0].clips[0]
        finally:
            for file in files:
                os.remove(file)

    def _extracted(self, member: tarfile.TarInfo) -> str:
        """Write a member to a file that is named here, not by the tar; return its path."""
        suffix = os.path.splitext(member.name)[1].lower()
        target = os.path.join(self._folder, f"{member.offset_data:014d}{suffix}")
        with tarfile.open(self._path, "r:") as tar, open(target, "wb") as file:
            content = tar.extractfile(member)
            assert content is not None  # it is a regular file
            while piece := content.read(8 << 20):
                file.write(piece)
        return target
