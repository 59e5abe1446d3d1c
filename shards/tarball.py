"""Plain WebDataset tars: written byte for byte the same for the same content, and read without trusting names."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from collections.abc import Iterable, Sequence
from typing import IO

from videomac.records.shards import SampleFacts, sorted_json
from videomac.storage.checksums import Sha256
from videomac.storage.storage import Storage

MODE = 0o644


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a sample's bytes lie in a shard."""

    offset: int
    size: int
    sha256: str


class ShardWriter:
    """Writes samples to a local tar by `webdataset.TarWriter`, with no clock and no user in its headers."""

    def __init__(self, path: str) -> None:
        from webdataset.writer import TarWriter  # here: it imports torch, and most processes write no tar

        self.path = path
        self._file = open(path, "wb")  # noqa: SIM115 - open as long as the writer is
        self._writer = TarWriter(self._file, user="", group="", mode=MODE, mtime=0, encoder=False)
        self._tar: tarfile.TarFile = self._writer.tarstream

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._tar.offset

    def add(self, key: str, files: Sequence[str], facts: SampleFacts) -> Place:
        """Append a sample: `KEY.EXT` or `KEY.NNNNNN.EXT`, then `KEY.json` with `facts` and the place's sha256.

        Media go through the writer's tar stream, a piece at a time: its `write` would hold a clip in memory twice.
        """
        is_video, digest, start, padding = facts.kind == "video", Sha256(), self._tar.offset, 0
        for number, path in enumerate(files):
            suffix = os.path.splitext(path)[1].lower()
            info = tarfile.TarInfo(f"{key}{suffix}" if is_video else f"{key}.{number:06d}{suffix}")
            info.size, info.mode = os.path.getsize(path), MODE
            header = info.tobuf(self._tar.format, self._tar.encoding or "utf-8", self._tar.errors or "strict")
            if is_video:
                start += len(header)
            else:
                digest.add(bytes(padding) + header)
            with open(path, "rb") as content:
                self._tar.addfile(info, _Hashed(content, digest))
            padding = -info.size % tarfile.BLOCKSIZE
        place = Place(start, self._tar.offset - padding - start, digest.hex)
        text = sorted_json(facts.model_copy(update={"sha256": place.sha256}))
        self._writer.write({"__key__": key, "json": text})
        return place

    def close(self) -> None:
        """End the tar."""
        self._writer.close()
        self._file.close()


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes], digest: Sha256) -> None:
        self._file, self._digest = file, digest

    def read(self, size: int = -1, /) -> bytes:
        piece = self._file.read(size)
        self._digest.add(piece)
        return piece


def tar_problems(path: str) -> list[str]:
    """Return what is wrong with a tar: it is cut, or members would be unpacked outside their folder."""
    try:
        with tarfile.open(path, "r:") as tar:
            names = [member.name for member in tar]
    except tarfile.TarError as error:
        return [f"{os.path.basename(path)}: not a readable tar ({error})"]
    return [_outside(name) for name in names if _leaves(name)]


def member_problems(members: Iterable[Sequence[tarfile.TarInfo]]) -> str:
    """Return the first name of a member that would be unpacked outside its folder, in words; empty if there is none."""
    return next((_outside(member.name) for group in members for member in group if _leaves(member.name)), "")


def _leaves(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/") or "\\" in name


def _outside(name: str) -> str:
    return f"member name {name!r} leaves its folder"


def fetched(storage: Storage, name: str, folder: str) -> str:
    """Return the path of a shard as a local file: itself, or a copy in `folder`."""
    here = storage.local_path(name)
    if here is not None:
        return here
    path = os.path.join(folder, "shard.tar")
    storage.download(name, path)
    return path
