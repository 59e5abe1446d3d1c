"""The video stream of a container that people mean when they speak of the video."""

from __future__ import annotations

import collections
from typing import Any

import av
from av.stream import Disposition

from videomac.data.clip import BinaryFile
from videomac.data.status import BadClip, Code

NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_container(file: BinaryFile) -> Any:
    """Open a video file for reading. It may be a playlist that names others: nothing but this file is ever opened."""
    return av.open(file, options={"protocol_whitelist": "none"})


def video_stream(container: Any) -> Any:
    """Return the best video stream as FFmpeg chooses it: neither cover art nor a still while there is another, then the
    default one, then the largest. The container is at its start afterwards.

    Raises:
        BadClip: there is none.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & NO_FILM]
    if not films:
        covers = len(container.streams.video)
        raise BadClip(
            Code.BROKEN, f"no video stream but {covers} pictures (cover art)" if covers else "no video stream"
        )
    if len(films) == 1:
        return films[0]
    packets = _packets_of(container, films)
    return max(films, key=lambda film: (packets[film.index] > 1, *_rank(film)))


def _rank(stream: Any) -> tuple[bool, int, int]:
    size = stream.codec_context.width * stream.codec_context.height
    return bool(stream.disposition & Disposition.default), size, -stream.index


def _packets_of(container: Any, streams: list[Any]) -> collections.Counter[int]:
    """Return how many packets each stream has: where headers say nothing, only reading tells a still from a film."""
    counts = collections.Counter(packet.stream.index for packet in container.demux(streams) if packet.size)
    container.seek(min(0, container.start_time or 0))
    return counts
