"""What is to become samples: videos and frame folders below a folder or prefix, or the lines of a list file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from videomac.config import BuildShards
from videomac.errors import ConfigError, DataError, MissingFileError
from videomac.facts.shipped import expand
from videomac.storage.entries import MISSING, Advice, Entry, split_url
from videomac.storage.storage import Storage

VIDEO_SUFFIXES = frozenset(
    {"mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "m2ts", "mts", "wmv", "flv", "ogv", "3gp"}
)
IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png"})
LIST_SUFFIXES = frozenset({"txt", "lst", "list", "csv", "tsv"})
SOURCE = Advice(missing="give another source", access="set storage_options")
LIST_LINE = re.compile(r"^(?P<path>.+?)(?:[\s,]+(?P<start>\d+(?:\.\d+)?)[\s,]+(?P<end>\d+(?:\.\d+)?))?$")


@dataclasses.dataclass(frozen=True)
class Source:
    """A video or a frame folder, as found."""

    name: str
    """Unique; relative to the source that was given."""
    root: str
    files: tuple[Entry, ...]
    """The video, or the frames in order; names relative to `root`."""
    kind: str
    """video or frames."""
    start_s: float | None = None
    end_s: float | None = None
    """Part of a video that a list file asks for."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """Name in the shards: readable, unique, without the dots and slashes that WebDataset gives a meaning."""
        stem = (
            self.name.rsplit("/", 1)[-1] if self.kind == "frames" else self.name.rsplit("/", 1)[-1].rpartition(".")[0]
        )
        digest = hashlib.blake2b(self.name.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:48] or 'clip'}-{digest}"

    def fingerprint(self) -> str:
        """Changes when the content may have."""
        text = repr((self.name, self.kind, self.start_s, self.end_s, self.files))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def find_sources(config: BuildShards) -> list[Source]:
    """All sources, by name.

    Raises:
        StorageError: the source cannot be listed.
        ConfigError: frame folders without `fps`, or a list line that is none.
        DataError: nothing found.
    """
    given = expand(config.source)
    suffix = _suffix(given)
    folder, name = split_url(given)
    if suffix in LIST_SUFFIXES:
        found = _listed(folder, name, config)
    elif suffix in VIDEO_SUFFIXES:
        found = [_video(Storage(folder, config.storage_options, advice=SOURCE), folder, name)]
    else:
        found = _below(Storage(given, config.storage_options, advice=SOURCE), config)
    if not found:
        raise DataError(
            f"{config.source}: no video (.{', .'.join(sorted(VIDEO_SUFFIXES))}) and no folder of JPEG or PNG frames"
        )
    return sorted(found, key=lambda source: source.name)


def _below(storage: Storage, config: BuildShards) -> list[Source]:
    entries = storage.list()
    folders = {entry.name.rpartition("/")[0] for entry in entries}
    # DAVIS and YouTube-VOS: frames below JPEGImages, masks of the same names below Annotations.
    if any("JPEGImages" in folder.split("/") for folder in folders):
        entries = [entry for entry in entries if "JPEGImages" in entry.name.split("/")]
    videos = [
        Source(entry.name, storage.root, (entry,), "video")
        for entry in entries
        if _suffix(entry.name) in VIDEO_SUFFIXES
    ]
    return videos + _frame_folders(storage, entries, config)


def _frame_folders(storage: Storage, entries: Iterable[Entry], config: BuildShards) -> list[Source]:
    frames: dict[str, list[Entry]] = {}
    for entry in entries:
        if _suffix(entry.name) in IMAGE_SUFFIXES:
            frames.setdefault(entry.name.rpartition("/")[0], []).append(entry)
    if frames and config.fps is None:
        some = storage.url(next(iter(frames)))
        raise ConfigError(
            f"fps: {len(frames)} folders of frames found ({some}, ...), which carry no frame rate: give fps=NUMBER "
            "(DAVIS: 24; YouTube-VOS: 6)"
        )
    root_name = storage.root.rsplit("/", 1)[-1]
    return [
        Source(folder or root_name, storage.root, tuple(sorted(files, key=lambda e: natural(e.name))), "frames")
        for folder, files in frames.items()
    ]


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts frame10 after frame9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(folder: str, name: str, config: BuildShards) -> list[Source]:
    text = Storage(folder, config.storage_options, advice=SOURCE).read(name).decode("utf-8")
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1)]

    @functools.cache
    def storage(root: str) -> Storage:
        return Storage(root, config.storage_options, advice=SOURCE)

    return [
        _listed_line(folder, f"{name}:{i}", line, storage) for i, line in lines if line and not line.startswith("#")
    ]


def _listed_line(folder: str, where: str, line: str, storage: Callable[[str], Storage]) -> Source:
    match = LIST_LINE.match(line)
    assert match is not None  # any line that is not empty has a path
    path, start, end = match["path"].rstrip(","), match["start"], match["end"]
    url = path if "://" in path or path.startswith("/") else f"{folder}/{path}"
    root, file = split_url(url)
    if _suffix(file) not in VIDEO_SUFFIXES:
        raise ConfigError(f"{where}: {path!r} has no video suffix; expected PATH_OR_URL [START_S END_S] a line")
    source = _video(storage(root), path, file)
    if start is None:
        return source
    if not float(start) < float(end):
        raise ConfigError(f"{where}: start {start} s is not before end {end} s")
    name = f"{path[: -len(_suffix(file)) - 1]}@{start}-{end}.{_suffix(file)}"
    return dataclasses.replace(source, name=name, start_s=float(start), end_s=float(end))


def _video(storage: Storage, name: str, file: str) -> Source:
    shown = file if name == storage.root else name
    try:
        entry = storage.entry(file)
    except MissingFileError:
        entry = Entry(file, 0, MISSING)  # will be listed as such: one line of many must not end the build
    return Source(shown, storage.root, (entry,), "video")


def _suffix(name: str) -> str:
    return name.rsplit("/", 1)[-1].rpartition(".")[2].lower()


def duplicate_candidates(sources: Sequence[Source]) -> list[Source]:
    """Sources that may hold the same bytes as another: only equal sizes can; empty ones are broken anyway."""
    by_size: dict[tuple[int, ...], list[Source]] = {}
    for source in sources:
        if source.start_s is None and source.size:
            by_size.setdefault(tuple(file.size for file in source.files), []).append(source)
    return [source for group in by_size.values() if len(group) > 1 for source in group]


def splits(sources: Sequence[Source], val_share: float) -> dict[str, str]:
    """Name -> train or val, by a hash of the video's own name: adding videos moves none of the others.

    With a share above 0 there is always one of each (given two sources).
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
    """Uniform in [0, 1), the same for all parts of one video."""
    name = source.name if source.start_s is None else re.sub(r"@[^@]*$", "", source.name)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
