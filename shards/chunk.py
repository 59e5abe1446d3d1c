"""One chunk of sources becomes shards: what a Ray task of the build does."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from videomac.config import Access, BuildShards
from videomac.data.status import BadClip
from videomac.data.subprocess_worker import Child
from videomac.errors import StorageError
from videomac.storage.checksums import Sha256, sha256_of_file
from videomac.storage.checksums import sha256_of as sha256_of_bytes
from videomac.storage.entries import MISSING, Advice
from videomac.storage.storage import Storage

from .sources import SOURCE, Source
from .tarball import ShardWriter

CONVERTER = "shards.convert:converter"
OUT = Advice(missing="correct out", access="set storage_options")
COMMON_DURATION_S = 10.0


def sha256_of(source: Source, options: Access) -> str:
    """SHA-256 over a source's files, in order."""
    storage = Storage(source.root, options, advice=SOURCE)
    digests = [storage.sha256(file.name) for file in source.files]
    return sha256_of_bytes("".join(digests).encode())


def make_chunk(
    number: int, sources: Sequence[Source], split: dict[str, str], config: BuildShards, libraries: dict[str, str]
) -> dict[str, Any]:
    """The chunk's record: its shards with their index rows, its rejections, and whether it was finished before."""
    out = Storage(config.out, config.storage_options, advice=OUT)
    settings = config.model_dump(mode="json", exclude={"out", "source", "storage_options", "parallel"})
    asked = json.dumps([settings, libraries, split, [s.fingerprint() for s in sources]], sort_keys=True)
    fingerprint = sha256_of_bytes(asked.encode())
    finished = _finished(out, number, fingerprint)
    if finished is not None:
        return {**finished, "kept": True}
    with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
        record = {"fingerprint": fingerprint, **_Chunk(number, config, out, folder).build(sources, split)}
    out.write(f".build/{number:06d}.json", json.dumps(record, sort_keys=True).encode())
    return {**record, "kept": False}


def _finished(out: Storage, number: int, fingerprint: str) -> dict[str, Any] | None:
    """The record of an earlier, complete build of this chunk whose shards are still what it says."""
    name = f".build/{number:06d}.json"
    if not out.exists(name):
        return None
    record = json.loads(out.read(name))
    if record["fingerprint"] != fingerprint:
        return None
    for shard in record["shards"]:
        if not out.exists(shard["name"]) or out.sha256(shard["name"]) != shard["sha256"]:
            return None
    return record


class _Chunk:
    """Converts sources one after the other and writes their clips to shards of about `shard_mb`."""

    def __init__(self, number: int, config: BuildShards, out: Storage, folder: str) -> None:
        self._number, self._config, self._out, self._folder = number, config, out, folder
        self._child = Child(CONVERTER, {"config": config.model_dump(mode="json")})
        self._shards: list[dict[str, Any]] = []
        self._rejected: list[dict[str, str]] = []
        self._writer: ShardWriter | None = None
        self._rows: list[dict[str, Any]] = []
        self._content = Sha256()

    def build(self, sources: Sequence[Source], split: dict[str, str]) -> dict[str, Any]:
        """All sources; returns the record."""
        try:
            for source in sources:
                self._add(source, split[source.name])
            self._close_shard()
        finally:
            self._child.close()
        return {
            "shards": self._shards,
            "rejected": self._rejected,
            "content_digest": self._content.hex,
        }

    def _add(self, source: Source, split: str) -> None:
        if any(file.version == MISSING for file in source.files):
            self._reject(source, "missing", "no such file")
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            try:
                files, digest = self._local_files(source, folder)
            except StorageError as error:
                if "://" in source.root:
                    raise  # past all retries: a store that is down must not look like bad videos
                self._reject(source, "unreadable", str(error))
                return
            self._content.add(f"{source.name}\0{digest}\0{split}\n".encode("utf-8", "surrogateescape"))
            answer = self._convert(source, files, folder)
            if "reason" in answer:
                self._reject(source, answer["reason"], answer["detail"])
                return
            for number, clip in enumerate(answer["clips"]):
                key = source.key if len(answer["clips"]) == 1 else f"{source.key}-{number:04d}"
                self._write(key, source, digest, split, clip)

    def _convert(self, source: Source, files: list[str], folder: str) -> dict[str, Any]:
        bound_s = self._config.bounds.decode_timeout_s
        header = {
            "kind": source.kind,
            "files": files,
            "folder": folder,
            "start_s": source.start_s,
            "end_s": source.end_s,
        }
        try:
            if source.kind == "video":
                probed, _ = self._child.call({**header, "op": "probe"}, b"", bound_s)
                if "reason" in probed:
                    return probed
                header["whole"] = probed["whole"]
                # A long video may take as long as that many common clips.
                bound_s *= 1 + probed["whole"]["duration"] / COMMON_DURATION_S
            return self._child.call({**header, "op": "convert"}, b"", bound_s)[0]
        except BadClip as bad:
            return {"reason": bad.code.reason, "detail": bad.detail}

    def _local_files(self, source: Source, folder: str) -> tuple[list[str], str]:
        """Paths of the source's files on this machine, and the SHA-256 of its content."""
        storage = Storage(source.root, self._config.storage_options, advice=SOURCE)
        digest, paths = Sha256(), []
        for number, file in enumerate(source.files):
            path = storage.url(file.name)
            if storage.remote:
                path = os.path.join(folder, f"source-{number:06d}{os.path.splitext(file.name)[1].lower()}")
            for piece in _kept(storage.pieces(file.name, file.size), path if storage.remote else None):
                digest.add(piece)
            paths.append(path)
        return paths, digest.hex

    def _write(self, key: str, source: Source, digest: str, split: str, clip: dict[str, Any]) -> None:
        about = {
            "kind": source.kind,
            **{name: clip[name] for name in ("fps", "frames", "width", "height", "duration", "codec")},
            "source": source.name,
            "source_sha256": digest,
            "segment_start": clip["start"],
            "segment_end": clip["end"],
            "split": split,
        }
        if self._writer is None:
            self._writer = ShardWriter(os.path.join(self._folder, "shard.tar"))
        place = self._writer.add(key, clip["files"], source.kind, about)
        indexed = {name: value for name, value in about.items() if name != "codec"}
        name = f"clips-{self._number:06d}-{len(self._shards):03d}.tar"
        row = {"key": key, "shard": name, "offset": place.offset, "size": place.size, "sha256": place.sha256}
        self._rows.append({**row, **indexed})
        if self._writer.size >= self._config.shard_mb * 2**20:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        path = self._writer.path
        digest = sha256_of_file(path)
        name = self._rows[0]["shard"]
        self._out.upload(name, path)
        size = os.path.getsize(path)
        self._shards.append({"name": name, "bytes": size, "sha256": digest, "rows": self._rows})
        os.remove(path)
        self._writer, self._rows = None, []

    def _reject(self, source: Source, reason: str, detail: str) -> None:
        self._rejected.append({"source": source.name, "reason": reason, "detail": detail})


def _kept(pieces: Iterator[bytes], path: str | None) -> Iterator[bytes]:
    """Passes pieces on, and writes them to a file if one is given."""
    if path is None:
        yield from pieces
        return
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)
            yield piece
