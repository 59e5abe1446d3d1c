"""`videomac index-shards`: a manifest and an index for WebDataset tars that others made. The tars stay as they are.

A sample is a video member (`KEY.mp4` and the like), or two and more images `KEY.NNNNNN.jpg|png` in a row with a
`KEY.json` that has `fps`. One Ray task per tar.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence

from videomac.config import Bounds, IndexShards, with_absolute_places
from videomac.data.status import BadClip
from videomac.data.subprocess_worker import Child
from videomac.distributed.cluster import bounded_map, connected, task
from videomac.errors import ConfigError, DataError
from videomac.facts.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from videomac.records.decoding import MadeClip, SourceAnswer, SourceRequest
from videomac.records.manifest import SHARD_NAME, Manifest
from videomac.records.shards import IndexRow, Rejection, ShardRecord
from videomac.storage.checksums import sha256_of_file, sha256_of_range
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage

from .convert import PROBER
from .finish import libraries, write_manifest, write_rejections
from .sources import printable
from .tarball import fetched, tar_problems

TARS = Advice(missing="give another folder of tars", access="set storage_options")


def index_shards(config: IndexShards) -> Manifest:
    """Read every `*.tar` below the prefix once; write `manifest.json`, `index.parquet` and `rejected.jsonl` there.

    Raises:
        DataError: there are no tars, or none with a usable video; or a tar's members would leave their folder.
        ConfigError: there is a manifest already.
    """
    config = with_absolute_places(config)
    out = Storage(config.tars, config.storage_options, advice=TARS)
    if out.exists("manifest.json"):
        raise ConfigError(f"{out.root}: has a manifest.json already; remove it to index the tars again")
    names = _tar_names(out)
    found: dict[str, tuple[ShardRecord, list[Rejection]]] = {}
    with connected():
        indexing = task(index_shard)
        for name, outcome in bounded_map(lambda name: indexing(out, name), names):
            shard, rejected = found[name] = outcome.result()
            print(f"{name}: {len(shard.rows)} clips, {len(rejected)} rejected", flush=True)
    rejected = [one for name in names for one in found[name][1]]
    shards = with_unique_keys([found[name][0] for name in names if found[name][0].rows])
    if not shards:
        raise DataError(f"{out.root}: no usable video in {len(names)} tars; {len(rejected)} members rejected")
    write_rejections(out, rejected)
    return write_manifest(out, shards, rejected, {"indexed": True}, libraries())


def _tar_names(out: Storage) -> list[str]:
    names = [entry.name for entry in out.list() if entry.name.endswith(".tar")]
    if not names:
        raise DataError(f"{out.root}: no *.tar below it; give the folder or prefix of WebDataset shards")
    odd = [name for name in names if not SHARD_NAME.fullmatch(name)]
    if odd:
        raise DataError(
            f"{out.root}: shard name {odd[0]!r} has characters other than letters, digits and ./=+@_- ; rename it"
        )
    return names


def with_unique_keys(shards: Sequence[ShardRecord]) -> list[ShardRecord]:
    """Prefix keys that repeat with their shard: a clip's random draws depend on its key."""
    counts = collections.Counter(row.key for shard in shards for row in shard.rows)

    def unique(row: IndexRow) -> IndexRow:
        if counts[row.key] == 1:
            return row
        return dataclasses.replace(row, key=f"{row.shard.removesuffix('.tar')}/{row.key}")

    return [shard.model_copy(update={"rows": tuple(map(unique, shard.rows))}) for shard in shards]


def index_shard(storage: Storage, name: str) -> tuple[ShardRecord, list[Rejection]]:
    """Return the record of one tar, and the samples of it that cannot be used."""
    with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
        path = fetched(storage, name, folder)
        problems = tar_problems(path)
        if problems:
            raise DataError(f"{storage.url(name)}: {problems[0]}; such a tar is not used")
        with contextlib.closing(_Prober(path, name, folder)) as prober:
            found = [prober.row(sample) for sample in _samples(path)]
        rows = tuple(one for one in found if isinstance(one, IndexRow))
        digest = sha256_of_file(path)
        record = ShardRecord(name=name, bytes=os.path.getsize(path), sha256=digest, rows=rows)
        return record, [one for one in found if isinstance(one, Rejection)]


@dataclasses.dataclass(frozen=True)
class _TarSample:
    """Consecutive members of a tar that share a key."""

    key: str
    kind: str
    members: list[tarfile.TarInfo]
    """Its first video, or its images."""
    fps: float | None
    """As the JSON beside it says."""
    split: str

    @property
    def start(self) -> int:
        """Offset of its bytes: of a video's data, or of the first image's header."""
        first = self.members[0]
        return first.offset_data if self.kind == "video" else first.offset_data - tarfile.BLOCKSIZE

    @property
    def end(self) -> int:
        """Offset behind its bytes."""
        return self.members[-1].offset_data + self.members[-1].size


def _samples(path: str) -> Iterator[_TarSample]:
    with tarfile.open(path, "r:") as tar:
        files = [member for member in tar if member.isfile()]
        for key, group in itertools.groupby(files, key=lambda member: split_name(member.name)[0]):
            members = list(group)
            videos = [m for m in members if suffix_of(m.name) in VIDEO_SUFFIXES]
            images = [m for m in members if suffix_of(m.name) in IMAGE_SUFFIXES]
            beside = next((tar.extractfile(m) for m in members if split_name(m.name)[1] == "json"), None)
            fps, split = _facts_beside(b"" if beside is None else beside.read())
            yield _TarSample(key, "video" if videos else "frames", videos[:1] or images, fps, split)


def split_name(name: str) -> tuple[str, str]:
    """Return key and extension as WebDataset defines them: the base name is cut at its first dot."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def _facts_beside(text: bytes) -> tuple[float | None, str]:
    """Return frame rate and split from a JSON that anybody may have written."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    facts = found if isinstance(found, dict) else {}
    fps = facts.get("fps")
    rate = float(fps) if isinstance(fps, int | float) and 0 < fps < float("inf") else None
    return rate, "val" if facts.get("split") == "val" else "train"


class _Prober:
    """Extracts samples of one tar and probes them in a child process."""

    def __init__(self, path: str, shard: str, folder: str) -> None:
        self._path, self._shard, self._folder = path, shard, folder
        bounds = Bounds()
        self._child = Child(PROBER, bounds.model_dump_json().encode(), bounds)

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def row(self, sample: _TarSample) -> IndexRow | Rejection:
        """Return the index row of a sample, or why it cannot be used."""
        source = f"{self._shard}/{sample.key}"
        if source != printable(source):
            return Rejection(source=printable(source), reason="name", detail="the member's name is not UTF-8")
        if sample.kind == "frames" and (len(sample.members) < 2 or sample.fps is None):
            return Rejection(source=source, reason="no_video", detail="no video, and no images with fps in a JSON")
        try:
            clip = self._probed(sample)
        except BadClip as bad:
            return Rejection(source=source, reason=bad.code.reason, detail=bad.detail)
        digest = sha256_of_range(self._path, sample.start, sample.end)
        return IndexRow(
            key=sample.key, kind=sample.kind, shard=self._shard, offset=sample.start, size=sample.end - sample.start,
            sha256=digest, frames=clip.frames, fps=clip.fps, width=clip.width, height=clip.height,
            duration=clip.duration, source=source, source_sha256=digest, segment_start=0.0,
            segment_end=clip.duration, split=sample.split,
        )  # fmt: skip

    def _probed(self, sample: _TarSample) -> MadeClip:
        files = tuple(self._extracted(member) for member in sample.members)
        try:
            request = SourceRequest(op="probe", kind=sample.kind, files=files, fps=sample.fps)
            return self._child.call(request, SourceAnswer, what=sample.key)[0].clips[0]
        finally:
            for file in files:
                os.remove(file)

    def _extracted(self, member: tarfile.TarInfo) -> str:
        """Write a member to a file that is named here, not by the tar; return its path."""
        suffix = os.path.splitext(member.name)[1].lower()
        name = hashlib.blake2b(member.name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        target = os.path.join(self._folder, f"{name}{suffix}")
        with tarfile.open(self._path, "r:") as tar, open(target, "wb") as file:
            content = tar.extractfile(member)
            assert content is not None  # it is a regular file
            while piece := content.read(8 << 20):
                file.write(piece)
        return target
