"""Plain WebDataset tars: written byte for byte the same for the same content, and read without trusting names."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from typing import Any

from videomac.storage.checksums import sha256_of_range
from videomac.storage.storage import Storage

BLOCK = tarfile.BLOCKSIZE


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a sample's bytes lie in a shard."""

    offset: int
    size: int
    sha256: str


class ShardWriter:
    """Writes samples to a local tar: old-style headers of one block, no clock, no user."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open(path, "wb+")  # noqa: SIM115 - open as long as the writer is
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - the same

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._tar.offset

    def add(self, key: str, files: list[str], kind: str, about: dict[str, Any]) -> Place:
        """Appends a sample: `KEY.EXT` or `KEY.NNNNNN.EXT`, then `KEY.json` with `about` and the place's sha256."""
        start = self._tar.offset
        for number, path in enumerate(files):
            suffix = os.path.splitext(path)[1].lower()
            info = tarfile.TarInfo(f"{key}.{number:06d}{suffix}" if kind == "frames" else f"{key}{suffix}")
            info.size = os.path.getsize(path)
            with open(path, "rb") as content:
                self._tar.addfile(info, content)
        padding = -os.path.getsize(files[-1]) % BLOCK
        begin, end = start if kind == "frames" else start + BLOCK, self._tar.offset - padding
        self._file.flush()
        place = Place(begin, end - begin, sha256_of_range(self.path, begin, end))
        text = json.dumps({**about, "sha256": place.sha256}, sort_keys=True).encode()
        info = tarfile.TarInfo(f"{key}.json")
        info.size = len(text)
        self._tar.addfile(info, io.BytesIO(text))
        return place

    def close(self) -> None:
        """Ends the tar."""
        self._tar.close()
        self._file.close()


def member_names(path: str) -> list[str]:
    """What is wrong with a tar's structure: names that leave the folder they would be unpacked to, a cut."""
    try:
        with tarfile.open(path, "r:") as tar:
            names = [member.name for member in tar]
    except tarfile.TarError as error:
        return [f"{os.path.basename(path)}: no readable tar ({error})"]
    odd = [name for name in names if name.startswith("/") or ".." in name.split("/") or "\\" in name]
    return [f"member name {name!r} leaves its folder" for name in odd]


def fetched(storage: Storage, name: str, folder: str) -> str:
    """A shard as a local file: itself, or a copy in `folder`."""
    here = storage.local_path(name)
    if here is not None:
        return here
    path = os.path.join(folder, "shard.tar")
    storage.download(name, path)
    return path
