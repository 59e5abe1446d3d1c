"""Find what is to become samples: videos and frame folders below a folder or prefix, or the lines of a list file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence

from videomac.config import Access
from videomac.errors import ConfigError, DataError, MissingFileError
from videomac.facts.media import VIDEO_SUFFIXES, suffix_of
from videomac.facts.shipped import expand
from videomac.storage.entries import MISSING, Entry, split_url, without_query
from videomac.storage.storage import Storage

from . import lists
from .lists import SOURCE
from .survey import Survey, survey


@dataclasses.dataclass(frozen=True)
class Source:
    """A video or a frame folder, as it was found."""

    name: str
    """Unique; relative to the source that was given."""
    root: str
    files: tuple[Entry, ...]
    """The video, or the frames in order; names relative to `root`."""
    kind: str
    """`video` or `frames`."""
    start_s: float | None = None
    end_s: float | None = None
    """The part of a video that a list file asks for."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """Name in the shards: readable, unique, without dots and slashes, which mean something to WebDataset."""
        stem = (
            self.name.rsplit("/", 1)[-1] if self.kind == "frames" else self.name.rsplit("/", 1)[-1].rpartition(".")[0]
        )
        digest = hashlib.blake2b(self.name.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:48] or 'clip'}-{digest}"

    def storage(self, options: Access) -> Storage:
        """Return the storage of its files; `options` are for remote ones."""
        return Storage(self.root, options, advice=SOURCE)

    def fingerprint(self) -> str:
        """Return a hash that changes whenever the content may have changed."""
        text = repr((self.name, self.kind, self.start_s, self.end_s, self.files))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found, and what is left out."""

    sources: list[Source]
    """Sorted by name."""
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    """Number of files by kind (`survey.py`)."""
    unreadable: tuple[str, ...] = ()
    """Folders whose files cannot be listed."""


def find_sources(given: str, options: Access, fps: float | None) -> Found:
    """Return all sources.

    Args:
        given: a folder or prefix, one video, or a list file.
        options: of remote storages.
        fps: frame rate of frame folders.

    Raises:
        StorageError: the source cannot be listed.
        ConfigError: there are frame folders but no `fps`, or a line of a list is not understood.
        DataError: nothing was found.
    """
    place, below = expand(given), Survey()
    folder, name = split_url(place)
    if suffix_of(place) in lists.SUFFIXES:
        found = _listed(folder, name, options)
    elif suffix_of(without_query(place)) in VIDEO_SUFFIXES:
        found = [_video(Storage(folder, options, advice=SOURCE), without_query(name), name)]
    elif place.startswith(("http://", "https://")):
        raise ConfigError(
            f"source: {without_query(given)}: a web server does not list its files; give a list file with the URL of a "
            "video on each line, or the URL of one video"
        )
    else:
        storage = Storage(place, options, advice=SOURCE)
        below = survey(storage)
        found = _below(storage, below, fps)
    if not found:
        left = f" ({describe_left_out(below.left_out)})" if below.left_out else ""
        raise DataError(f"{given}: no video and no folder of frames is there{left}; check the path")
    left_out = dict(sorted(below.left_out.items()))
    return Found(sorted(found, key=lambda source: source.name), left_out, tuple(below.unreadable))


def describe_left_out(left_out: Mapping[str, int]) -> str:
    """Return the counts in words: `left out: 12 txt, 2 single image`."""
    counts = sorted(left_out.items(), key=lambda kind: (-kind[1], kind[0]))
    return "left out: " + ", ".join(f"{count} {kind}" for kind, count in counts)


def printable(name: str) -> str:
    """Return a name that UTF-8 can hold: bytes of a file name that are not UTF-8 become `\\udc..`."""
    return name.encode("utf-8", "backslashreplace").decode()


def _below(storage: Storage, found: Survey, fps: float | None) -> list[Source]:
    if found.frames and fps is None:
        some = storage.url(next(iter(found.frames)))
        raise ConfigError(
            f"fps: found {len(found.frames)} folders of frames ({some}, ...), which have no frame rate of their own; "
            "give fps=NUMBER (DAVIS: 24; YouTube-VOS: 6)"
        )
    root_name = storage.root.rsplit("/", 1)[-1]
    videos = [Source(entry.name, storage.root, (entry,), "video") for entry in found.videos]
    return videos + [
        Source(folder or root_name, storage.root, tuple(sorted(files, key=lambda e: natural(e.name))), "frames")
        for folder, files in found.frames.items()
    ]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts frame10 after frame9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(folder: str, name: str, options: Access) -> list[Source]:
    @functools.cache
    def storage(root: str) -> Storage:
        return Storage(root, options, advice=SOURCE)

    found = []
    for line in lists.read_list(folder, name, options):
        root, file = split_url(line.place)
        source = _video(storage(root), line.name, file)
        found.append(dataclasses.replace(source, name=line.name, start_s=line.start_s, end_s=line.end_s))
    return found


def _video(storage: Storage, name: str, file: str) -> Source:
    try:
        entry = storage.entry(file)
    except MissingFileError:
        entry = Entry(file, 0, MISSING)  # rejected later: one line of many must not end the build
    return Source(name, storage.root, (entry,), "video")


def duplicate_candidates(sources: Sequence[Source]) -> list[Source]:
    """Return sources that may hold the same bytes as another one: those of equal size. Empty ones are broken anyway."""
    by_size: dict[tuple[int, ...], list[Source]] = {}
    for source in sources:
        if source.start_s is None and source.size:
            by_size.setdefault(tuple(file.size for file in source.files), []).append(source)
    return [source for group in by_size.values() if len(group) > 1 for source in group]


def splits(sources: Sequence[Source], val_share: float) -> dict[str, str]:
    """Return `train` or `val` for each name, by a hash of the video's own name: adding videos moves none of the others.

    With a share above 0 there is at least one of each (given two videos).
    """
    draws = {source.name: _draw(source) for source in sources}
    ranked = sorted(draws, key=lambda name: (draws[name], name))
    split = {name: "val" if draws[name] < val_share else "train" for name in ranked}
    if val_share > 0 and len(set(draws.values())) > 1:
        first, last = draws[ranked[0]], draws[ranked[-1]]
        split.update({name: "val" for name in ranked if draws[name] == first})
        split.update({name: "train" for name in ranked if draws[name] == last})
    return split


def _draw(source: Source) -> float:
    """Return a number that is uniform in [0, 1), and the same for all parts of one video."""
    name = source.name if source.start_s is None else re.sub(r"@[^@]*$", "", source.name)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
