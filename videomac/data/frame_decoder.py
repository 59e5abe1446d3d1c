"""Decode whole clips frame by frame in a child process: for evaluation, pictures, and checks of shards."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from videomac.config import Bounds
from videomac.data.clip import Picture
from videomac.data.decode_worker import FRAME_DECODER
from videomac.data.subprocess_worker import Child
from videomac.records.decoding import FramesAnswer, FramesRequest
from videomac.storage.entries import Content

PART_BYTES = 64 << 20
"""Pixels that are decoded for one request: what both processes hold at a time, beside one more frame."""


class FrameDecoder:
    """Asks a child process for frames, a part of a clip at a time, so that memory and time are bounded.

    Safe to share between threads. A clip is given as a request: a file by its path, or `content` with its kind.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._child = Child(FRAME_DECODER, bounds.model_dump_json().encode(), bounds)
        self._lock = threading.Lock()

    def count(self, clip: FramesRequest, content: Content = b"") -> int:
        """Return the number of frames, without decoding them.

        Raises:
            BadClip: the clip exceeds a bound, is broken, or takes the decoder down.
        """
        return self._ask(clip, content, start=0, most_bytes=0)[0].total

    def frames(self, clip: FramesRequest, content: Content = b"") -> Iterator[Picture]:
        """Yield the frames from number `clip.start` on, uint8 RGB (h, w, 3), upright.

        Raises:
            BadClip: as `count`, or a frame cannot be decoded.
        """
        number, total = clip.start, clip.start + 1
        while number < total:
            answer, pixels = self._ask(clip, content, number, PART_BYTES)
            yield from np.frombuffer(pixels, np.uint8).reshape(answer.count, answer.height, answer.width, 3)
            number, total = number + answer.count, answer.total

    def frame(self, clip: FramesRequest, number: int, content: Content = b"") -> Picture:
        """Return one frame.

        Raises:
            BadClip: as `frames`.
        """
        answer, pixels = self._ask(clip, content, number, most_bytes=1)
        return np.frombuffer(pixels, np.uint8).reshape(answer.count, answer.height, answer.width, 3)[0]

    def close(self) -> None:
        """End the child process; the next request starts another."""
        with self._lock:
            self._child.close()

    def _ask(self, clip: FramesRequest, content: Content, start: int, most_bytes: int) -> tuple[FramesAnswer, Content]:
        request = clip.model_copy(update={"start": start, "most_bytes": most_bytes})
        with self._lock:
            return self._child.call(request, FramesAnswer, content, what=clip.path or "one clip")
