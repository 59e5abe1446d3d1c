"""Checksums of content: the only place where the bytes of files are hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from videomac.storage.entries import PIECE_BYTES, Content, Damaged

MD5_ETAG = re.compile(r"[0-9a-f]{32}(-1)?")
"""ETags of objects that one request uploaded, or an upload in parts with one part."""


class Sha256:
    """The hex SHA-256 of pieces that come one after the other."""

    def __init__(self, first: Content = b"") -> None:
        self._digest = hashlib.sha256(first)

    def add(self, piece: Content) -> None:
        """Continue with the next piece."""
        self._digest.update(piece)

    @property
    def hex(self) -> str:
        """Of everything added so far."""
        return self._digest.hexdigest()


def sha256_of(content: Content) -> str:
    """Return the hex SHA-256 of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_pieces(pieces: Iterable[Content]) -> str:
    """Return the hex SHA-256 of pieces joined in order."""
    digest = Sha256()
    for piece in pieces:
        digest.add(piece)
    return digest.hex


def sha256_of_file(path: str | Path) -> str:
    """Return the hex SHA-256 of a local file.

    Raises:
        OSError: it cannot be read.
    """
    return sha256_of_pieces(_pieces(path, 0, None))


def sha256_of_range(path: str | Path, start: int, end: int) -> str:
    """Return the hex SHA-256 of bytes [start, end) of a local file."""
    return sha256_of_pieces(_pieces(path, start, end))


def check_sha256(expected: str) -> Callable[[Content], None]:
    """Return a check for `Storage.read`: the content has this hex SHA-256."""

    return lambda content: refuse_other_sha256(sha256_of(content), expected)


def refuse_other_sha256(found: str, expected: str) -> None:
    """Raise `Damaged` unless the two hex digests are equal."""
    if found != expected:
        raise Damaged(f"sha256 is {found[:12]}..., expected {expected[:12]}...")


def contradicts_etag(pieces: Iterable[Content], etag: str) -> bool:
    """Return whether an object's ETag says that these are not its bytes.

    An ETag is the MD5 of an object that one request uploaded. Of an upload in parts it is the MD5 of the parts' MD5s;
    with a single part that can be computed too, with more the borders are unknown and nothing is contradicted.
    """
    if not MD5_ETAG.fullmatch(etag):
        return False
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    if etag.endswith("-1"):
        return etag != f"{hashlib.md5(digest.digest(), usedforsecurity=False).hexdigest()}-1"
    return etag != digest.hexdigest()


def pieces_of_file(path: str | Path) -> Iterator[bytes]:
    """Yield a local file's bytes, a piece at a time."""
    return _pieces(path, 0, None)


def _pieces(path: str | Path, start: int, end: int | None) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        while end is None or start < end:
            piece = file.read(PIECE_BYTES if end is None else min(end - start, PIECE_BYTES))
            if not piece:
                return
            yield piece
            start += len(piece)
