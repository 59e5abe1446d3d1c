"""What storages and their callers hand to each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

Content = bytes | bytearray | memoryview
"""A file's or sample's bytes, wherever they lie."""
Check = Callable[[bytes], None]
"""Approves what was read, or raises `Damaged`."""

PIECE_BYTES = 8 << 20
"""Large files are read in pieces of this size: the number of requests is the cost, and memory stays bounded."""
UNREADABLE = "unreadable"
"""`Entry.version` of a folder whose files cannot be listed."""
MISSING = "missing"
"""`Entry.version` of a name without a file, such as a dangling link."""


class Damaged(Exception):  # noqa: N818 - a finding about an answer
    """An answer that is not what was asked for: wrong length or wrong checksum."""


class ChangedError(Exception):
    """A conditional write found another version of the file than the one it was to replace."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file below a storage's root."""

    name: str
    size: int
    version: str
    """Changes when the file's content may have changed: modification time or ETag."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long one call is retried."""

    deadline_s: float = 60.0
    """From the first attempt to the last; 0: one attempt."""
    attempt_s: float = 5.0
    """Longest silence of the server within an attempt."""


DEFAULT_PATIENCE = Patience()


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a caller adds to the error of a storage, which cannot know what its files are for.

    Each is a clause in the imperative that follows the storage's own advice; empty: nothing is added.
    """

    missing: str = ""
    """Where the file is not there: `make shards with videomac build-shards SOURCE OUT`."""
    damaged: str = ""
    """Where the content is not what it should be, past all retries."""
    slow: str = ""
    """Where no answer came in time: keys that raise the limits."""
    access: str = ""
    """Where endpoint or credentials are wrong or absent: keys that set them."""


NO_ADVICE = Advice()


def split_url(url: str) -> tuple[str, str]:
    """Return folder and file name of a path or URL; the query of a URL stays with the name."""
    path = without_query(url)
    folder, slash, name = path.rpartition("/")
    return (folder or "/" if slash else "."), name + url[len(path) :]


def without_query(url: str) -> str:
    """Return an HTTP URL without its query, which may hold a signature; anything else unchanged."""
    return url.partition("?")[0] if url.startswith(("http://", "https://")) else url
