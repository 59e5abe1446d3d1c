"""Build one chunk: its sources become shards. This is what a Ray task of the build does."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from videomac.config import Access, BuildShards
from videomac.data import process_limits
from videomac.data.process_limits import DISK_OR_DESCRIPTORS
from videomac.data.status import BadClip
from videomac.data.subprocess_worker import Child
from videomac.errors import ClusterError, StorageError, VideomacError
from videomac.records.decoding import MadeClip, SourceAnswer, SourceRequest
from videomac.records.shards import ChunkRecord, IndexRow, Rejection, SampleFacts, ShardRecord, sorted_json
from videomac.storage.checksums import Sha256, sha256_of, sha256_of_file
from videomac.storage.entries import MISSING, Advice
from videomac.storage.storage import Storage

from .convert import CONVERTER, Conversion
from .sources import Source, printable
from .tarball import ShardWriter

OUT = Advice(missing="correct out", access="set storage_options")
COMMON_DURATION_S = 10.0
UNREADABLE = "unreadable"
"""Reason of a local source that the file system refuses to read."""
NO_SETTINGS = {
    "source": True, "out": True, "storage_options": True, "parallel": True,
    "bounds": {"max_memory_mb": True, "max_file_mb": True},
}  # fmt: skip
"""Keys that do not change a byte of a good clip's sample."""


@dataclasses.dataclass(frozen=True)
class BuiltChunk:
    """What became of a chunk."""

    record: ChunkRecord
    is_kept: bool
    """Whether an earlier build had finished it already."""


def settings_of(config: BuildShards) -> dict[str, Any]:
    """Return the keys of a build that its shards depend on: manifests and fingerprints of chunks hold them."""
    return config.model_dump(mode="json", exclude=NO_SETTINGS)


def source_sha256(source: Source, options: Access) -> str:
    """Return a SHA-256 over a source's files, in order."""
    storage = source.storage(options)
    digests = [storage.sha256(file.name) for file in source.files]
    return sha256_of("".join(digests).encode())


def make_chunk(
    number: int, sources: Sequence[Source], split: Mapping[str, str], config: BuildShards, versions: Mapping[str, str]
) -> BuiltChunk:
    """Build the shards of a chunk and write its record, unless an earlier build has done so.

    Args:
        number: of the chunk; names its shards.
        sources: what it holds.
        split: `train` or `val` by the name of the source.
        config: of the build.
        versions: of the libraries that the shards depend on.
    """
    out = Storage(config.out, config.storage_options, advice=OUT)
    asked = json.dumps([settings_of(config), versions, split, [s.fingerprint() for s in sources]], sort_keys=True)
    fingerprint = sha256_of(asked.encode())
    earlier = read_record(out, number)
    if earlier is not None and _is_finished(out, earlier, fingerprint):
        return BuiltChunk(earlier, is_kept=True)
    left = tuple(sorted(earlier.names)) if earlier else ()
    with _machines_trouble(), tempfile.TemporaryDirectory(prefix="videomac-") as folder:
        shards = _Shards(number, out, config.shard_mb * 2**20, folder, left)
        with contextlib.closing(_Chunk(Conversion.of(config), config.storage_options, shards, folder)) as chunk:
            record = chunk.build(sources, split, fingerprint)
    record = record.model_copy(update={"left": tuple(name for name in left if name not in record.names)})
    write_record(out, number, record)
    return BuiltChunk(record, is_kept=False)


def _record_name(number: int) -> str:
    return f".build/{number:06d}.json"


@contextlib.contextmanager
def _machines_trouble() -> Iterator[None]:
    """Turn what has nothing to do with the sources into an error that ends the build; it goes on later."""
    try:
        yield
    except MemoryError as error:
        raise ClusterError(
            "out of memory in a task of the build; run fewer at a time (parallel=N); the same command goes on where it "
            "stopped"
        ) from error
    except OSError as error:
        raise StorageError(process_limits.trouble_text(error)) from error


def read_record(out: Storage, number: int) -> ChunkRecord | None:
    """Return what an earlier build, finished or not, wrote of this chunk."""
    content = out.read_if_there(_record_name(number))
    if content is None:
        return None
    try:
        return ChunkRecord.from_json(content, out.url(_record_name(number)))
    except VideomacError:
        return None  # of another version: build the chunk again


def write_record(out: Storage, number: int, record: ChunkRecord) -> None:
    """Replace what is written of this chunk."""
    out.write(_record_name(number), sorted_json(record))


def forget(out: Storage, number: int) -> None:
    """Remove what is written of a chunk that there is no longer."""
    out.remove(_record_name(number))


def _is_finished(out: Storage, record: ChunkRecord, fingerprint: str) -> bool:
    """Return whether this is the record of a complete build of this chunk, and its shards are still as it says.

    A source that could not be read is tried again.
    """
    if record.fingerprint != fingerprint or any(one.reason == UNREADABLE for one in record.rejected):
        return False
    return all(out.exists(shard.name) and out.sha256(shard.name) == shard.sha256 for shard in record.shards)


class _Shards:
    """Writes samples to shards of about `shard_bytes` and uploads each shard when it is full."""

    def __init__(self, number: int, out: Storage, shard_bytes: float, folder: str, left: tuple[str, ...]) -> None:
        self._number, self._out, self._shard_bytes, self._folder = number, out, shard_bytes, folder
        self._left = left
        self._writer: ShardWriter | None = None
        self._rows: list[IndexRow] = []
        self.finished: list[ShardRecord] = []

    @property
    def _name(self) -> str:
        return f"clips-{self._number:06d}-{len(self.finished):03d}.tar"

    def add(self, key: str, files: Sequence[str], facts: SampleFacts) -> None:
        """Append a sample."""
        if self._writer is None:
            self._writer = ShardWriter(os.path.join(self._folder, "shard.tar"))
        place = self._writer.add(key, files, facts)
        about = facts.model_dump(exclude={"codec", "sha256"})
        where = {"shard": self._name, "offset": place.offset, "size": place.size, "sha256": place.sha256}
        self._rows.append(IndexRow(key=key, **where, **about))
        if self._writer.size >= self._shard_bytes:
            self.close()

    def close(self) -> None:
        """Finish the shard that is being written, if there is one."""
        if self._writer is None:
            return
        self._writer.close()
        path = self._writer.path
        digest, size = sha256_of_file(path), os.path.getsize(path)
        shard = ShardRecord(name=self._name, bytes=size, sha256=digest, rows=tuple(self._rows))
        self._announce(shard)
        self._out.upload(shard.name, path)
        self.finished.append(shard)
        os.remove(path)
        self._writer, self._rows = None, []

    def _announce(self, shard: ShardRecord) -> None:
        """Write down that this shard is this build's own before it is there, so that another build may replace it."""
        unfinished = ChunkRecord(
            fingerprint="", shards=(*self.finished, shard), rejected=(), content_digest="", left=self._left
        )
        write_record(self._out, self._number, unfinished)


class _Chunk:
    """Converts sources one after the other and writes their clips to shards."""

    def __init__(self, conversion: Conversion, options: Access, shards: _Shards, folder: str) -> None:
        self._bounds, self._options, self._shards, self._folder = conversion.bounds, options, shards, folder
        self._child = Child(CONVERTER, conversion.to_json(), conversion.bounds)
        self._rejected: list[Rejection] = []
        self._content = Sha256()
        self._treated: collections.Counter[str] = collections.Counter()

    def build(self, sources: Sequence[Source], split: Mapping[str, str], fingerprint: str) -> ChunkRecord:
        """Write all sources; return the record."""
        for source in sources:
            self._add(source, split[source.name])
        self._shards.close()
        return ChunkRecord(
            fingerprint=fingerprint,
            shards=tuple(self._shards.finished),
            rejected=tuple(self._rejected),
            content_digest=self._content.hex,
            treated=dict(sorted(self._treated.items())),
        )

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def _add(self, source: Source, split: str) -> None:
        if source.name != printable(source.name):
            self._reject(source, "name", "the file's name is not UTF-8: rename it")
            return
        if any(file.version == MISSING for file in source.files):
            self._reject(source, "missing", "the file does not exist")
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            try:
                files, digest = self._local_files(source, folder)
            except StorageError as error:
                cause = error.__cause__
                if source.storage(self._options).remote or getattr(cause, "errno", None) in DISK_OR_DESCRIPTORS:
                    raise  # past all retries: a store that is down must not look like bad videos
                self._reject(source, UNREADABLE, str(error))
                return
            self._content.add(f"{source.name}\0{digest}\0{split}\n".encode())
            answer = self._converted(source, files, folder)
            if answer.reason is not None:
                self._reject(source, answer.reason, answer.detail)
            for number, clip in enumerate(answer.clips):
                key = source.key if len(answer.clips) == 1 else f"{source.key}-{number:04d}"
                self._treated.update(treatment.value for treatment in clip.treatments)
                self._shards.add(key, clip.files, _facts(source, digest, split, clip))

    def _converted(self, source: Source, files: Sequence[str], folder: str) -> SourceAnswer:
        """Return the clips of a source, or why there are none."""
        cpu_s, probed = self._bounds.decode_timeout_s, None
        probe = SourceRequest(op="probe", kind=source.kind, files=tuple(files))
        try:
            if source.kind == "video":
                (probed,) = self._child.call(probe, SourceAnswer, cpu_s=cpu_s, what=source.name)[0].clips
                # A long video may take as long as that many common clips.
                cpu_s *= 1 + probed.duration / COMMON_DURATION_S
            part = {"start_s": source.start_s, "end_s": source.end_s, "probed": probed, "folder": folder}
            convert = probe.model_copy(update={"op": "convert", **part})
            return self._child.call(convert, SourceAnswer, cpu_s=cpu_s, what=source.name)[0]
        except BadClip as bad:
            return SourceAnswer(reason=bad.code.reason, detail=bad.detail)

    def _local_files(self, source: Source, folder: str) -> tuple[list[str], str]:
        """Return paths of the source's files on this machine, and the SHA-256 of its content."""
        storage = source.storage(self._options)
        digest, paths = Sha256(), []
        for number, file in enumerate(source.files):
            here = storage.local_path(file.name)
            copy = os.path.join(folder, f"source-{number:06d}{os.path.splitext(file.name)[1].lower()}")
            for piece in _kept(storage.pieces(file.name, file.size), copy if here is None else None):
                digest.add(piece)
            paths.append(here or copy)
        return paths, digest.hex

    def _reject(self, source: Source, reason: str, detail: str) -> None:
        self._rejected.append(Rejection(source=printable(source.name), reason=reason, detail=printable(detail)))


def _facts(source: Source, digest: str, split: str, clip: MadeClip) -> SampleFacts:
    return SampleFacts(
        kind=source.kind, fps=clip.fps, frames=clip.frames, width=clip.width, height=clip.height,
        duration=clip.duration, codec=clip.codec, source=source.name, source_sha256=digest,
        segment_start=clip.start, segment_end=clip.end, split=split,
    )  # fmt: skip


def _kept(pieces: Iterator[bytes], path: str | None) -> Iterator[bytes]:
    """Pass pieces on, and write them to a file if one is given."""
    if path is None:
        yield from pieces
        return
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)
            yield piece
