"""Plain WebDataset tars, byte for byte the same for the same content, with the offset of every sample."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tarfile
from typing import Any

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
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._tar.offset

    def add(self, key: str, files: list[str], kind: str, about: dict[str, Any]) -> Place:
        """Appends a sample: `KEY.EXT` or `KEY.NNNNNN.EXT`, then `KEY.json` with `about` and the place's sha256."""
        start = self._tar.offset
        for number, file in enumerate(files):
            suffix = os.path.splitext(file)[1].lower()
            self._add_file(f"{key}.{number:06d}{suffix}" if kind == "frames" else f"{key}{suffix}", file)
        last_size = os.path.getsize(files[-1])
        end = self._tar.offset - (-last_size % BLOCK)
        place = self._place(start if kind == "frames" else start + BLOCK, end)
        text = json.dumps({**about, "sha256": place.sha256}, sort_keys=True).encode()
        self._add_bytes(f"{key}.json", text)
        return place

    def _place(self, start: int, end: int) -> Place:
        digest = hashlib.sha256()
        self._tar.fileobj.flush()  # type: ignore[union-attr]
        with open(self.path, "rb") as file:
            file.seek(start)
            left = end - start
            while left:
                piece = file.read(min(left, 8 << 20))
                digest.update(piece)
                left -= len(piece)
        return Place(start, end - start, digest.hexdigest())

    def _add_file(self, name: str, path: str) -> None:
        info = tarfile.TarInfo(name)
        info.size = os.path.getsize(path)
        with open(path, "rb") as file:
            self._tar.addfile(info, file)

    def _add_bytes(self, name: str, content: bytes) -> None:
        import io

        info = tarfile.TarInfo(name)
        info.size = len(content)
        self._tar.addfile(info, io.BytesIO(content))

    def close(self) -> None:
        """Ends the tar."""
        self._tar.close()


def copy_to(source: str, path: str) -> None:
    """A local copy of a local file."""
    shutil.copyfile(source, path)
