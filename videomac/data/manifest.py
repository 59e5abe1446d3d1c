"""`manifest.json`: which shards there are, how large, what they were built with. Small beside the index.

Everything needed to notice a changed or damaged file stands here: bytes and SHA-256 of each shard and of the index, and
a checksum of the manifest itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pydantic

from videomac.data.storage import DEFAULT_PATIENCE, Damaged, Patience, Storage, split_url
from videomac.errors import DataError

VERSION = 1
SHARD_NAME = re.compile(r"(?!.*(^|/)\.)[\w./=+@ -]+\.tar")
"""Relative names without hidden or parent folders."""


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Shard(_Record):
    """One tar."""

    name: str
    bytes: int
    sha256: str
    samples: int
    frames: int
    seconds: float

    @pydantic.field_validator("name")
    @classmethod
    def _stays_inside(cls, name: str) -> str:
        if not SHARD_NAME.fullmatch(name) or name.startswith("/"):
            raise ValueError(f"shard name {name!r}: expected a relative path that ends in .tar")
        return name


class IndexFile(_Record):
    """`index.parquet`, and its footer by itself, so that a reader can check what it fetched by range."""

    bytes: int
    sha256: str
    footer_bytes: int
    footer_sha256: str


class Manifest(_Record):
    """What `manifest.json` holds."""

    version: int = VERSION
    shards: tuple[Shard, ...]
    index: IndexFile
    samples: dict[str, int]
    """Samples of each split."""
    frames: int
    seconds: float
    rejected: dict[str, int]
    """Sources that did not become samples, by reason; `rejected.jsonl` names them."""
    settings: dict[str, Any]
    """Keys of the build that the shards depend on."""
    libraries: dict[str, str]
    """Versions that the shards depend on."""
    source_digest: str = ""
    """SHA-256 over names, sizes and splits of the sources."""

    def to_json(self) -> bytes:
        """The file's content: equal manifests give equal bytes."""
        body = self.model_dump(mode="json")
        return json.dumps({**body, "checksum": _checksum(body)}, indent=1, sort_keys=True).encode() + b"\n"

    @property
    def digest(self) -> str:
        """Identifies the data set in checkpoints and results: first 12 hex digits of the checksum."""
        return _checksum(self.model_dump(mode="json"))[:12]


def load_manifest(url: str, options: dict[str, str] | None = None, patience: Patience = DEFAULT_PATIENCE) -> Manifest:
    """Reads and checks a manifest: a path or URL of `manifest.json`, or of its folder.

    Raises:
        StorageError: it cannot be read.
        DataError: it is no manifest of a version that this code knows.
    """
    storage, name = open_storage(url, options, patience)
    return read_manifest(storage, name, first=True)


def open_storage(
    url: str, options: dict[str, str] | None, patience: Patience = DEFAULT_PATIENCE
) -> tuple[Storage, str]:
    """The storage of a manifest's folder, and the manifest's name in it."""
    folder, name = split_url(url) if url.endswith(".json") else (url, "manifest.json")
    return Storage(folder, options, patience), name


def read_manifest(storage: Storage, name: str = "manifest.json", first: bool = False) -> Manifest:
    """As `load_manifest`, from an open storage."""
    content = storage.read(name, check=_check_checksum, first=first)
    where = storage.url(name)
    try:
        body = json.loads(content)
        if body.get("version") != VERSION:
            raise DataError(
                f"{where}: version {body.get('version')!r}, this code reads {VERSION}; build the shards anew"
            )
        return Manifest.model_validate({k: v for k, v in body.items() if k != "checksum"})
    except (ValueError, AttributeError) as error:
        raise DataError(f"{where}: no manifest of shards ({_first_line(error)}); run videomac index-shards") from error


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_checksum(content: bytes) -> None:
    try:
        body = json.loads(content)
        expected = body.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged("no manifest.json of videomac shards") from error
    if _checksum(body) != expected:
        raise Damaged("the manifest's checksum does not match its content")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
