"""From a decoded frame to the picture that a player shows: upright, not mirrored, with square pixels, progressive, in
standard range.

Decoding and re-encoding both call `picture_of`. Every step is a function of this one frame, so that a picture never
depends on what was asked for before. A frame that needs no step is converted as it always was, bit for bit.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type as SideData

from videomac.data import tone_map
from videomac.data.clip import Picture
from videomac.facts.media import Treatment

LEAST_ASPECT, MOST_ASPECT = Fraction(1, 8), Fraction(8)
"""Pixels of another shape than these are taken for rubbish in the header: square."""


@dataclasses.dataclass(frozen=True)
class Orientation:
    """How a stored picture is laid out on the screen: transposed first, then flipped."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @property
    def is_mirrored(self) -> bool:
        """Whether no rotation gives this orientation."""
        return (self.transposed + self.flipped_x + self.flipped_y) % 2 == 1

    def apply(self, picture: Picture) -> Picture:
        """Return the picture as it is shown."""
        turned = picture.transpose(1, 0, 2) if self.transposed else picture
        return np.ascontiguousarray(turned[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1])


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation that the frame's display matrix asks for, to the nearest quarter turn.

    The matrix maps a stored point to x' = a x + c y, y' = b x + d y; its nine numbers start with a, b, u, c, d.
    """
    side_data: Any = frame.side_data
    found = next((data for data in side_data if data.type == SideData.DISPLAYMATRIX), None)
    if found is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(found), np.int32, count=5).tolist()
    transposed = abs(b) > abs(a)
    x, y = (c, b) if transposed else (a, d)
    return Orientation(transposed, x < 0, y < 0)


def aspect_of(stream: Any) -> Fraction:
    """Return width over height of a stream's pixels; 1 where nothing, or nothing sensible, is said."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and LEAST_ASPECT <= aspect <= MOST_ASPECT else Fraction(1)


def treatments_of(frame: av.VideoFrame, aspect: Fraction) -> tuple[Treatment, ...]:
    """Return what `picture_of` does to this frame beside converting it to RGB; `aspect` as `aspect_of` gives it."""
    orientation = orientation_of(frame)
    wanted = {
        Treatment.ROTATED: orientation != UPRIGHT and not orientation.is_mirrored,
        Treatment.FLIPPED: orientation.is_mirrored,
        Treatment.SQUARE_PIXELS: square_width(frame, aspect) != frame.width,
        Treatment.DEINTERLACED: frame.interlaced_frame,
        Treatment.TONE_MAPPED: tone_map.is_hdr(frame),
        Treatment.ALPHA_IGNORED: _is_transparent(frame),
    }
    return tuple(treatment for treatment, is_wanted in wanted.items() if is_wanted)


def _is_transparent(frame: av.VideoFrame) -> bool:
    """Whether some pixel is not opaque; most GIFs have an alpha channel that says nothing."""
    if frame.format.name != "pal8" and not any(component.is_alpha for component in frame.format.components):
        return False
    return bool(frame.to_ndarray(format="rgba", threads=1)[..., 3].min() < 255)


def square_width(frame: av.VideoFrame, aspect: Fraction) -> int:
    """Return the width of the stored picture in square pixels; the height stays."""
    return max(1, round(frame.width * aspect))


def picture_of(frame: av.VideoFrame, aspect: Fraction) -> Picture:
    """Return a decoded frame as a player shows it, uint8 RGB (h, w, 3); `aspect` as `aspect_of` gives it."""
    orientation = orientation_of(frame)
    if frame.interlaced_frame:
        frame = deinterlaced(frame)
    width = square_width(frame, aspect)
    if width != frame.width:
        frame = frame.reformat(width=width, height=frame.height, interpolation=tone_map.EXACT, threads=1)
    # By default `to_ndarray` starts threads for every frame.
    picture = tone_map.to_sdr(frame) if tone_map.is_hdr(frame) else frame.to_ndarray(format="rgb24", threads=1)
    return orientation.apply(picture)


def shown_frame(frame: av.VideoFrame, aspect: Fraction) -> av.VideoFrame:
    """Return a decoded frame as a player shows it, for an encoder: the frame itself if nothing is to be done to it,
    else one of RGB."""
    if not set(treatments_of(frame, aspect)) - {Treatment.ALPHA_IGNORED}:
        return frame
    return av.VideoFrame.from_ndarray(picture_of(frame, aspect), format="rgb24")


def deinterlaced(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the first field, its missing lines drawn along edges: one frame for one, whatever came before."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000), name="in"
        ),
        graph.add("estdif", "mode=frame:parity=auto:deint=all"),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    graph.push(None)
    field = graph.pull()
    assert isinstance(field, av.VideoFrame)
    return field
