"""What lies below a folder: videos, frames of one clip, and what is left out, each file accounted for."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from videomac.facts.media import IMAGE_SUFFIXES, NO_VIDEO_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from videomac.storage.entries import MISSING, UNREADABLE, Entry
from videomac.storage.storage import Storage, is_hidden

FRAMES = "JPEGImages"
"""Folder of the frames in DAVIS and YouTube-VOS; masks of the same names lie beside it."""
LOOK_BYTES = 512
"""Bytes that tell whether a file of an unknown suffix may be a video."""
MAGIC = (
    (0, b"\x1a\x45\xdf\xa3"), (0, b"FLV"), (0, b"OggS"), (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3"),
    (0, b"\x30\x26\xb2\x75"), (0, b"GIF8"), (0, b"\x06\x0e\x2b\x34"), (0, b".RMF"), (0, b"DKIF"), (0, b"YUV4MPEG2"),
    (0, b"nut/multimedia"), (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (8, b"AVI "),
)  # fmt: skip
"""How files of video begin: Matroska, FLV, Ogg, MPEG, ASF, GIF, MXF, RealMedia, IVF, y4m, NUT, MP4, AVI."""
PACKET_BYTES, SYNC = 188, 0x47
"""An MPEG transport stream has this byte at the start of every packet."""
POSTERS = frozenset({"poster", "cover", "folder", "thumb", "thumbnail", "fanart", "backdrop", "banner", "logo"})
HIDDEN, MASKS, SINGLE, STILLS = "hidden", "beside JPEGImages", "single image", "still of a video"
NO_SUFFIX = "no suffix"
"""Kinds of files that are left out, where their suffix does not say."""


@dataclasses.dataclass
class Survey:
    """Every file below a folder, by what becomes of it."""

    videos: list[Entry] = dataclasses.field(default_factory=list)
    frames: dict[str, list[Entry]] = dataclasses.field(default_factory=dict)
    """By folder."""
    left_out: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Number of files by kind: a suffix, or one of the words above."""

    unreadable: list[str] = dataclasses.field(default_factory=list)
    """Folders whose files cannot be listed."""

    def leave_out(self, kind: str, entries: Sequence[Entry]) -> None:
        """Count files that do not become clips."""
        if entries:
            self.left_out[kind] += len(entries)


def survey(storage: Storage) -> Survey:
    """Look at every file below the root of a storage; files of unknown suffixes are opened for their first bytes.

    Raises:
        StorageError: the files cannot be listed.
    """
    found, everything = Survey(), storage.everything()
    found.unreadable = [entry.name for entry in everything if entry.version == UNREADABLE]
    found.leave_out(HIDDEN, [entry for entry in everything if is_hidden(entry.name)])
    entries = [e for e in everything if e.version != UNREADABLE and not is_hidden(e.name)]
    masks = _beside_frames(entries)
    found.leave_out(MASKS, [entry for entry in entries if entry.name in masks])
    images: dict[str, list[Entry]] = {}
    for entry in (entry for entry in entries if entry.name not in masks):
        suffix = suffix_of(entry.name)
        if suffix in IMAGE_SUFFIXES:
            images.setdefault(_folder(entry), []).append(entry)
        elif suffix in VIDEO_SUFFIXES or (suffix not in NO_VIDEO_SUFFIXES and _begins_as_video(storage, entry)):
            found.videos.append(entry)
        else:
            found.leave_out(suffix or NO_SUFFIX, [entry])
    _add_frames(found, images)
    return found


def _add_frames(found: Survey, images: dict[str, list[Entry]]) -> None:
    """Take images as the frames of a clip where several lie in a folder, but for stills of the videos there."""
    stems: dict[str, set[str]] = {}
    for video in found.videos:
        stems.setdefault(_folder(video), set()).add(_stem(video))
    for folder, entries in images.items():
        stills = [entry for entry in entries if _is_still(_stem(entry), stems.get(folder, set()))]
        left = [entry for entry in entries if entry not in stills]
        found.leave_out(STILLS, stills)
        if len(left) > 1:
            found.frames[folder] = left
        else:
            found.leave_out(SINGLE, left)


def _is_still(stem: str, videos: set[str]) -> bool:
    """Whether an image is named as a video beside it, or as a poster where there are videos."""
    named = stem.lower().replace("_", "-")
    beside = {video.lower().replace("_", "-") for video in videos}
    return bool(videos) and (
        named in beside or named in POSTERS or any(named.removesuffix(f"-{poster}") in beside for poster in POSTERS)
    )


def _beside_frames(entries: Iterable[Entry]) -> set[str]:
    """Return the images that lie beside a JPEGImages folder, in other folders of the same data set."""
    roots = {entry.name.split(f"{FRAMES}/")[0] for entry in entries if FRAMES in entry.name.split("/")[:-1]}
    return {
        entry.name
        for entry in entries
        if suffix_of(entry.name) in IMAGE_SUFFIXES
        and FRAMES not in entry.name.split("/")
        and any(entry.name.startswith(root) and "/" in entry.name.removeprefix(root) for root in roots)
    }


def _begins_as_video(storage: Storage, entry: Entry) -> bool:
    if entry.version == MISSING or not entry.size:
        return False
    head = storage.read(entry.name, 0, min(LOOK_BYTES, entry.size))
    is_stream = len(head) > PACKET_BYTES and head[0] == SYNC and head[PACKET_BYTES] == SYNC
    return is_stream or any(head[place:].startswith(magic) for place, magic in MAGIC)


def _folder(entry: Entry) -> str:
    return entry.name.rpartition("/")[0]


def _stem(entry: Entry) -> str:
    return entry.name.rpartition("/")[2].rpartition(".")[0]
