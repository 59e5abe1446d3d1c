"""`videomac index-shards`: a manifest and an index for WebDataset tars that others made. The tars stay as they are.

A sample is a video member (`KEY.mp4` and the like), or two and more images `KEY.NNNNNN.jpg|png` in a row with a
`KEY.json` that has `fps`. One Ray task per tar.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from videomac.config import BuildShards, IndexShards, validate
from videomac.data.manifest import SHARD_NAME, Manifest
from videomac.data.status import BadClip
from videomac.data.subprocess_worker import Child
from videomac.distributed.cluster import bounded_map, connected, task
from videomac.errors import ConfigError, DataError
from videomac.storage.checksums import sha256_of_file, sha256_of_range
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage

from .build import libraries, write_manifest
from .chunk import CONVERTER
from .sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from .tarball import fetched, member_names

TARS = Advice(missing="give another folder of tars", access="set storage_options")
BLOCK = tarfile.BLOCKSIZE


def index_shards(config: IndexShards) -> Manifest:
    """Reads every `*.tar` below the prefix once and writes `manifest.json`, `index.parquet`, `rejected.jsonl` there.

    Raises:
        DataError: no tar, or none with a usable video; a tar whose member names leave it.
        ConfigError: there is a manifest of ours already.
    """
    out = Storage(config.tars, config.storage_options, advice=TARS)
    if out.exists("manifest.json"):
        raise ConfigError(f"{out.root}: has a manifest.json already; remove it to index the tars anew")
    names = [entry.name for entry in out.list() if entry.name.endswith(".tar")]
    odd = [name for name in names if not SHARD_NAME.fullmatch(name)]
    if not names or odd:
        raise DataError(f"{out.root}: " + (f"shard name {odd[0]!r} has odd characters" if odd else "no *.tar below it"))
    with connected():
        indexing, found = task(index_shard), {}
        for name, outcome in bounded_map(lambda name: indexing(out, name), names):
            found[name] = outcome.result()
            print(f"{name}: {len(found[name]['rows'])} clips, {len(found[name]['rejected'])} rejected", flush=True)
    records = [found[name] for name in names]
    rejected = [row for record in records for row in record["rejected"]]
    shards = _with_unique_keys([record for record in records if record["rows"]])
    if not shards:
        raise DataError(f"{out.root}: no usable video in {len(names)} tars; {len(rejected)} members rejected")
    lines = [json.dumps(row, sort_keys=True) + "\n" for row in rejected]
    out.write("rejected.jsonl", "".join(lines).encode())
    return write_manifest(out, shards, rejected, {"indexed": True}, libraries())


def _with_unique_keys(shards: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Keys are the identity of a clip in draws and verdicts: those that repeat get their shard in front."""
    counts = collections.Counter(row["key"] for shard in shards for row in shard["rows"])
    for shard in shards:
        for row in shard["rows"]:
            if counts[row["key"]] > 1:
                row["key"] = f"{shard['name'].removesuffix('.tar')}/{row['key']}"
    return shards


def index_shard(storage: Storage, name: str) -> dict[str, Any]:
    """The record of one tar: bytes, sha256, index rows, rejected members."""
    config = validate(BuildShards, {"source": name, "out": storage.root}, origin="index-shards")
    child = Child(CONVERTER, {"config": config.model_dump(mode="json")})
    with tempfile.TemporaryDirectory(prefix="videomac-") as folder:
        path = fetched(storage, name, folder)
        odd = member_names(path)
        if odd:
            raise DataError(f"{storage.url(name)}: {odd[0]}; such a tar is not used")
        rows, rejected = [], []
        try:
            for found in _members(path):
                row = _row(path, name, found, child, config, folder)
                (rejected if "reason" in row else rows).append(row)
        finally:
            child.close()
        digest = sha256_of_file(path)
        return {"name": name, "bytes": os.path.getsize(path), "sha256": digest, "rows": rows, "rejected": rejected}


def _members(path: str) -> Iterator[dict[str, Any]]:
    """Samples of a tar: key, members in order, and the JSON beside them."""
    with tarfile.open(path, "r:") as tar:
        files = [member for member in tar if member.isfile()]
        for key, group in itertools.groupby(files, key=lambda member: _split(member.name)[0]):
            members = list(group)
            about = next((m for m in members if _split(m.name)[1] == "json"), None)
            media = [m for m in members if _split(m.name)[1].rpartition(".")[2] in VIDEO_SUFFIXES | IMAGE_SUFFIXES]
            text = tar.extractfile(about).read() if about is not None else b"{}"  # type: ignore[union-attr]
            yield {"key": key, "members": media, "about": _object(text)}


def _split(name: str) -> tuple[str, str]:
    """Key and extension as WebDataset has them: the base name is cut at its first dot."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _row(
    path: str, shard: str, found: dict[str, Any], child: Child, config: BuildShards, folder: str
) -> dict[str, Any]:
    """The index row of a sample, or why it is none."""
    source = f"{shard}/{found['key']}"
    videos = [m for m in found["members"] if _split(m.name)[1].rpartition(".")[2] in VIDEO_SUFFIXES]
    members, kind = (videos[:1], "video") if videos else (found["members"], "frames")
    if kind == "frames" and not (len(members) > 1 and isinstance(found["about"].get("fps"), (int, float))):
        return {"source": source, "reason": "no_video", "detail": "no video member, no images with fps in a json"}
    start = members[0].offset_data if kind == "video" else members[0].offset_data - BLOCK
    end = members[-1].offset_data + members[-1].size
    files = [_extracted(path, member, folder) for member in members]
    config = config.model_copy(update={"fps": found["about"].get("fps")})
    clip = _probed(files, kind, child, config)
    if "reason" in clip:
        return {"source": source, **clip}
    about = {name: clip[name] for name in ("fps", "frames", "width", "height", "duration")}
    digest = sha256_of_range(path, start, end)
    split = "val" if found["about"].get("split") == "val" else "train"
    place = {"shard": shard, "offset": start, "size": end - start, "sha256": digest}
    origin = {"source": source, "source_sha256": digest, "segment_start": 0.0, "segment_end": clip["duration"]}
    return {"key": found["key"], "kind": kind, **place, **about, **origin, "split": split}


def _probed(files: list[str], kind: str, child: Child, config: BuildShards) -> dict[str, Any]:
    header = {"op": "probe", "kind": kind, "files": files, "fps": config.fps}
    try:
        answer, _ = child.call(header, b"", config.bounds.decode_timeout_s)
    except BadClip as bad:
        return {"reason": bad.code.reason, "detail": bad.detail}
    finally:
        for file in files:
            os.remove(file)
    return answer.get("whole", answer)


def _extracted(path: str, member: tarfile.TarInfo, folder: str) -> str:
    """A member as a file of our own naming."""
    suffix = os.path.splitext(member.name)[1].lower()
    name = hashlib.blake2b(member.name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    target = os.path.join(folder, f"{name}{suffix}")
    with tarfile.open(path, "r:") as tar, open(target, "wb") as file:
        content = tar.extractfile(member)
        assert content is not None  # it is a regular file
        while piece := content.read(8 << 20):
            file.write(piece)
    return target
