"""`manifest.json` of a folder of shards, read, checked and sealed.

Everything that is needed to notice a changed or damaged file stands in it: length and SHA-256 of each shard and of the
index, and a checksum of the manifest itself.
"""

from __future__ import annotations

import json
import re

import pydantic

from videomac.config import Access
from videomac.errors import DataError
from videomac.records.manifest import UNSEALED, Manifest
from videomac.storage.checksums import sha256_of
from videomac.storage.entries import Advice, Damaged, Patience, split_url
from videomac.storage.storage import Storage

CHECKSUM = re.compile(rb'^ "checksum": "([0-9a-f]{64})"', re.MULTILINE)
SHARDS = Advice(
    missing="make shards with videomac build-shards SOURCE OUT",
    damaged="the content is not what the index says: run videomac verify-shards",
    slow="raise data.io_timeout_s and data.io_attempt_s",
    access="set storage_options",
)
"""What storages of shards add to their errors."""


def seal(manifest: Manifest) -> bytes:
    """Return the file's content with its checksum: equal manifests give equal bytes."""
    body = {**manifest.model_dump(mode="json"), "checksum": UNSEALED}
    text = (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()
    return text.replace(UNSEALED.encode(), sha256_of(text).encode(), 1)


def load_manifest(url: str, options: Access = None, patience: Patience | None = None) -> Manifest:
    """Read and check a manifest: a path or URL of `manifest.json`, or of its folder.

    Raises:
        StorageError: it cannot be read, is damaged, or is not a manifest.
        DataError: its version or a field is not one that this code knows.
    """
    storage, name = open_storage(url, options, patience)
    return read_manifest(storage, name, first=True)


def open_storage(url: str, options: Access, patience: Patience | None = None) -> tuple[Storage, str]:
    """Return the storage of a manifest's folder, and the manifest's name in it."""
    folder, name = split_url(url) if url.endswith(".json") else (url, "manifest.json")
    return Storage(folder, options, patience, SHARDS), name


def read_manifest(storage: Storage, name: str = "manifest.json", first: bool = False) -> Manifest:
    """Read and check a manifest as `load_manifest` does, from an open storage."""
    content = storage.read(name, check=_check_checksum, first=first)
    try:
        return Manifest.model_validate_json(content)
    except pydantic.ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        raise DataError(
            f"{storage.url(name)}: {where}: {found['msg']} (found {str(found['input'])[:40]!r}); rebuild the shards "
            "with this version of videomac"
        ) from error


def _check_checksum(content: bytes) -> None:
    found = CHECKSUM.search(content)
    if found is None:
        raise Damaged("not a manifest of videomac shards: expected one that build-shards or index-shards wrote")
    unsealed = content[: found.start(1)] + UNSEALED.encode() + content[found.end(1) :]
    if sha256_of(unsealed) != found[1].decode():
        raise Damaged("the manifest's checksum does not match its content")
