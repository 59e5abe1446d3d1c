"""List files: a video on each line, and perhaps the part of it that is wanted."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from videomac.config import Access
from videomac.errors import ConfigError
from videomac.facts.media import VIDEO_SUFFIXES, suffix_of
from videomac.storage.entries import Advice, split_url, without_query
from videomac.storage.storage import Storage
from videomac.storage.text_files import decoded

SUFFIXES = frozenset({"txt", "lst", "list", "csv", "tsv"})
SOURCE = Advice(missing="give another source", access="set storage_options")
FORM = "each line must be PATH_OR_URL [START END], with times in seconds or as H:MM:SS.S"
TIME = r"(?:\d+:){0,2}\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
LINE = re.compile(rf"(?P<path>.+?)(?:[\s,;]+(?P<start>{TIME})[\s,;]+(?P<end>{TIME}))?")
LABELLED = re.compile(r"(?P<path>.+?)[\s,;]+\d+")
"""A path and the number of a class, as lists of classified clips have them."""
COMMENT = re.compile(r"\s#.*$")


class Listed(NamedTuple):
    """What one line asks for."""

    where: str
    """File and number of the line."""
    path: str
    """As it is written, without the query of a URL."""
    number: int
    """1 for the first time that this path and part are asked for, 2 for the second."""
    place: str
    """Path or URL to read."""
    start_s: float | None
    end_s: float | None

    @property
    def name(self) -> str:
        """Unique name of the source: path, part, and where it is asked for again how often."""
        stem, suffix = self.path[: -len(suffix_of(self.path)) - 1], suffix_of(self.path)
        part = "" if self.start_s is None or self.end_s is None else f"@{_text(self.start_s)}-{_text(self.end_s)}"
        again = f"~{self.number}" if self.number > 1 else ""
        return f"{stem}{part}{again}.{suffix}"


def read_list(folder: str, name: str, options: Access) -> Iterator[Listed]:
    """Yield the lines of a list, but for empty ones and comments.

    Raises:
        StorageError: it cannot be read.
        ConfigError: it is not text, or a line is not understood; the message names the line.
    """
    content = Storage(folder, options, advice=SOURCE).read(name)
    seen: collections.Counter[tuple[object, ...]] = collections.Counter()
    for number, line in enumerate(decoded(content, f"{folder}/{name}", ConfigError).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _parsed(folder, f"{name}:{number}", line.strip())
        asked = (found.place, found.start_s, found.end_s)
        seen[asked] += 1
        yield found._replace(number=seen[asked])


def _text(seconds: float) -> str:
    """Return the shortest text that is exactly this time: equal names are equal parts."""
    short = f"{seconds:g}"
    return short if float(short) == seconds else repr(seconds)


def _parsed(folder: str, where: str, line: str) -> Listed:
    path, start, end = _fields(where, line)
    place = os.path.expanduser(path.removeprefix("file://")) if path.startswith(("~", "file://")) else path
    if "://" not in place and not place.startswith("/"):
        place = f"{folder}/{place}"
    if start is not None and end is not None and not start < end:
        raise ConfigError(f"{where}: start {start:g} s is not before end {end:g} s; {FORM}")
    return Listed(where, without_query(path), 1, place, start, end)


def _fields(where: str, line: str) -> tuple[str, float | None, float | None]:
    """Return path, start and end of a line; a class number or a comment behind the path is passed over."""
    for text in (line, COMMENT.sub("", line)):
        for form in (LINE, LABELLED):
            match = form.fullmatch(text)
            path = match["path"].rstrip(",;").strip("\"'") if match else ""
            if match and _is_video(path):
                found = match.groupdict()
                return path, _seconds(found.get("start")), _seconds(found.get("end"))
    raise ConfigError(f"{where}: {line!r} does not start with a file that is named as a video; {FORM}")


def _is_video(path: str) -> bool:
    return suffix_of(split_url(without_query(path))[1]) in VIDEO_SUFFIXES


def _seconds(text: str | None) -> float | None:
    """Return seconds from `62.5` or `1:02.5`."""
    if text is None:
        return None
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total
