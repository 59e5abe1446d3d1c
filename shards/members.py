"""The samples of a tar that somebody else made: its videos, and its images with a frame rate; the rest is counted."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from fractions import Fraction

from videomac.data.frames_clip import frame_order, split_name
from videomac.errors import DataError
from videomac.facts.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from videomac.storage.text_files import decoded

RATES = (0.01, 1000.0)
"""Frames per second that a JSON may give: beyond them no pair would ever be found."""
LINK, LABEL, HIDDEN, FOLDER = "link", "label image", "hidden", "folder"
"""Kinds of members that are left out, where their suffix does not say."""


class UnusableError(Exception):
    """A sample that cannot be used, with the reason for `rejected.jsonl`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True)
class TarSample:
    """A video, or the images of a clip in order."""

    key: str
    """Unique in its tar."""
    kind: str
    """`video` or `frames`."""
    members: list[tarfile.TarInfo]
    text: bytes | None
    """The JSON beside it."""

    @property
    def start(self) -> int:
        """Offset of its bytes: of a video's data, or of the first image's headers."""
        if self.kind == "video":
            return self.members[0].offset_data
        return min(member.offset for member in self.members)

    @property
    def end(self) -> int:
        """Offset behind its bytes."""
        return max(member.offset_data + member.size for member in self.members)

    def facts(self) -> tuple[float | None, str]:
        """Return frame rate (None: not needed, or not given) and split.

        Raises:
            UnusableError: images have no JSON, or an odd one; or a member is stored with holes.
        """
        if any(member.issparse() for member in self.members):
            raise UnusableError("sparse", "stored with holes: write the tar without --sparse")
        found = _parsed(self.text)
        split = "val" if found.get("split") == "val" else "train"
        if self.kind == "video":
            return None, split
        if len(self.members) < 2 or "fps" not in found:
            raise UnusableError("no_video", "no video, and no images with fps in a JSON")
        return _rate(found["fps"]), split


@dataclasses.dataclass(frozen=True)
class TarContent:
    """What a tar holds."""

    samples: list[TarSample]
    left_out: dict[str, int]
    """Members that are no part of a sample, by suffix or kind."""
    problem: str = ""
    """Why the tar cannot be read from here on."""


def read_tar(path: str) -> TarContent:
    """Return the samples of a tar, of one that is cut those before the cut."""
    members, texts, problem = [], {}, ""
    size = os.path.getsize(path)
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile() and member.offset_data + member.size > size and not member.issparse():
                    raise tarfile.ReadError(f"{member.name} is cut")
                members.append(member)
                if suffix_of(member.name) == "json" and member.isfile():
                    content = tar.extractfile(member)
                    texts[member.name] = content.read() if content else b""
    except (tarfile.TarError, EOFError, ValueError) as error:
        problem = f"{'cut or damaged after' if members else 'not a readable tar:'} {_state(members)}({error})"
    if not members and not problem:
        problem = "holds no members"
    return _content(members, texts, problem)


def _state(members: Sequence[tarfile.TarInfo]) -> str:
    return f"{len(members)} members " if members else ""


def _content(members: Sequence[tarfile.TarInfo], texts: dict[str, bytes], problem: str) -> TarContent:
    left_out: collections.Counter[str] = collections.Counter()
    videos: list[tarfile.TarInfo] = []
    frames: dict[str, list[tarfile.TarInfo]] = {}
    for member in members:
        suffix = suffix_of(member.name)
        if not member.isfile():
            left_out[FOLDER if member.isdir() else LINK] += 1
        elif any(part.startswith(".") and part.strip(".") for part in member.name.split("/")):
            left_out[HIDDEN] += 1
        elif suffix in VIDEO_SUFFIXES:
            videos.append(member)
        elif suffix in IMAGE_SUFFIXES and frame_order(member.name) is not None:
            frames.setdefault(split_name(member.name)[0], []).append(member)
        elif suffix in IMAGE_SUFFIXES:
            left_out[LABEL] += 1
        elif suffix != "json":
            left_out[suffix or "no suffix"] += 1
    samples = _videos(videos, texts)
    taken = {sample.key for sample in samples}
    for key, images in frames.items():
        ordered = sorted(images, key=lambda member: frame_order(member.name) or (0, ""))
        samples.append(TarSample(_unique(key, taken), "frames", ordered, texts.get(f"{key}.json")))
    samples.sort(key=lambda sample: sample.start)
    return TarContent(samples, dict(left_out), problem)


def _videos(videos: Sequence[tarfile.TarInfo], texts: dict[str, bytes]) -> list[TarSample]:
    """Return every video as a sample. Its key is WebDataset's, up to the first dot of the name, where that tells it
    from others; else it is the name without its suffix."""
    short = collections.Counter(split_name(member.name)[0] for member in videos)
    samples, taken = [], set[str]()
    for member in videos:
        stem, key = member.name[: -len(suffix_of(member.name)) - 1], split_name(member.name)[0]
        text = texts.get(f"{stem}.json", texts.get(f"{key}.json"))
        name = _unique(key if short[key] == 1 else stem, taken)
        samples.append(TarSample(name, "video", [member], text))
    return samples


def _unique(key: str, taken: set[str]) -> str:
    number, name = 1, key
    while name in taken:
        number += 1
        name = f"{key}~{number}"
    taken.add(name)
    return name


def _parsed(text: bytes | None) -> dict[str, object]:
    """Return the JSON object beside a sample; nothing of it is needed for videos."""
    try:
        found = json.loads(decoded(text, "json", DataError)) if text else {}
    except (ValueError, RecursionError, DataError):
        return {}
    return found if isinstance(found, dict) else {}


def _rate(value: object) -> float:
    """Return frames per second from a number, or from text such as `25` or `30000/1001`."""
    rate = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            rate = float(Fraction(value.strip())) if isinstance(value, str) else float(value)
        except (ValueError, OverflowError, ZeroDivisionError):
            rate = math.nan
    if not RATES[0] <= rate <= RATES[1]:
        shown = re.sub(r"\s+", " ", repr(value))[:60]
        raise UnusableError("fps", f"fps is {shown}; expected a number from {RATES[0]:g} to {RATES[1]:g}")
    return rate


def total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums of counts by kind."""
    return dict(sum((collections.Counter(count) for count in counts), collections.Counter[str]()))
