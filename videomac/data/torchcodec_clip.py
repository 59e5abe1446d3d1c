"""Clips by torchcodec, an extra that needs FFmpeg's shared libraries: about a third faster per pair than PyAV.

torchcodec has no public way to ask for all presentation times without decoding, so PyAV's pass over the packets gives
them; frame numbers agree, because both count the same packets in order of presentation.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from torchcodec.decoders import VideoDecoder  # pyright: ignore - an extra

from videomac.config import Bounds
from videomac.data.clip import check_pixels
from videomac.data.pyav_clip import PyavClip
from videomac.data.status import BadClip, Code
from videomac.storage.entries import Content

BROKEN = (RuntimeError, ValueError, IndexError)


class TorchcodecClip:
    """An opened video (see `clip.Clip`)."""

    def __init__(self, content: Content, bounds: Bounds) -> None:
        scanned = PyavClip(io.BytesIO(content), bounds)
        self.times_s = scanned.times_s
        stream = scanned.stream_index  # torchcodec would take the one it thinks best, PyAV takes the first
        scanned.close()
        self._bounds = bounds
        try:
            self._decoder = VideoDecoder(
                bytes(content), stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=1
            )
        except BROKEN as error:
            raise BadClip(Code.BROKEN, str(error).splitlines()[0]) from error
        if len(self._decoder) != len(self.times_s):
            raise BadClip(Code.BROKEN, f"{len(self._decoder)} frames by torchcodec, {len(self.times_s)} packets")

    def pictures(self, numbers: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `clip.Clip`."""
        for number in numbers:
            try:
                picture_hw3 = self._decoder.get_frame_at(number).data.numpy()
            except BROKEN as error:
                raise BadClip(Code.BROKEN, f"frame {number}: {str(error).splitlines()[0]}") from error
            check_pixels(picture_hw3.shape[1], picture_hw3.shape[0], self._bounds)
            yield number, picture_hw3

    def close(self) -> None:
        """See `clip.Clip`."""
        del self._decoder
