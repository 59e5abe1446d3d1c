"""`manifest.json`: which shards there are, how large, what they were built with. Small beside the index.

Everything needed to notice a changed or damaged file stands here: bytes and SHA-256 of each shard and of the index, and
a checksum of the manifest itself.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import pydantic
import pydantic.dataclasses

from videomac.config import Access
from videomac.errors import DataError
from videomac.storage.checksums import sha256_of
from videomac.storage.entries import Advice, Damaged, Patience, split_url
from videomac.storage.storage import Storage

UNSEALED = "0" * 64
CHECKSUM = re.compile(rb'^ "checksum": "([0-9a-f]{64})"', re.MULTILINE)
SHARD_NAME = re.compile(r"(?!.*(^|/)\.)[\w./=+@ -]+\.tar")
"""Relative names without hidden or parent folders."""
SHARDS = Advice(
    missing="make shards with videomac build-shards SOURCE OUT",
    damaged="the content is not what the index says: run videomac verify-shards",
    slow="raise data.io_timeout_s and data.io_attempt_s",
    access="set storage_options",
)
"""What storages of shards add to their errors."""


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


@pydantic.dataclasses.dataclass(frozen=True, slots=True, config=pydantic.ConfigDict(extra="forbid"))
class Shard:
    """One tar. No model: there may be fifty thousand of them, and a model instance takes a kilobyte."""

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

    version: Literal[1] = 1
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

    checksum: str = UNSEALED
    """SHA-256 of the file with zeros in this place."""

    def to_json(self) -> bytes:
        """The file's content, with its checksum: equal manifests give equal bytes."""
        body = {**self.model_dump(mode="json"), "checksum": UNSEALED}
        text = (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()
        return text.replace(UNSEALED.encode(), sha256_of(text).encode(), 1)

    @property
    def digest(self) -> str:
        """Identifies the data set in checkpoints and results: first 12 hex digits of the checksum."""
        return self.checksum[:12]


def load_manifest(url: str, options: Access = None, patience: Patience | None = None) -> Manifest:
    """Reads and checks a manifest: a path or URL of `manifest.json`, or of its folder.

    Raises:
        StorageError: it cannot be read.
        DataError: it is no manifest of a version that this code knows.
    """
    storage, name = open_storage(url, options, patience)
    return read_manifest(storage, name, first=True)


def open_storage(url: str, options: Access, patience: Patience | None = None) -> tuple[Storage, str]:
    """The storage of a manifest's folder, and the manifest's name in it."""
    folder, name = split_url(url) if url.endswith(".json") else (url, "manifest.json")
    return Storage(folder, options, patience, SHARDS), name


def read_manifest(storage: Storage, name: str = "manifest.json", first: bool = False) -> Manifest:
    """As `load_manifest`, from an open storage."""
    content = storage.read(name, check=_check_checksum, first=first)
    try:
        return Manifest.model_validate_json(content)
    except pydantic.ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        raise DataError(
            f"{storage.url(name)}: {where}: {found['msg']} (found {str(found['input'])[:40]!r}); build the shards anew "
            "with this version of videomac"
        ) from error


def _check_checksum(content: bytes) -> None:
    found = CHECKSUM.search(content)
    if found is None:
        raise Damaged("no manifest.json of videomac shards: expected one that build-shards or index-shards wrote")
    unsealed = content[: found.start(1)] + UNSEALED.encode() + content[found.end(1) :]
    if sha256_of(unsealed) != found[1].decode():
        raise Damaged("the manifest's checksum does not match its content")
