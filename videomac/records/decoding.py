"""Messages between a process and the child process that decodes for it (`data/subprocess_worker.py`).

They travel as JSON; the bytes of clips and pictures lie beside them in shared memory.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from videomac.facts.media import Treatment
from videomac.records.base import Record
from videomac.records.shards import Sample


@dataclasses.dataclass(frozen=True)
class Slot:
    """One pair to be taken from a clip: slot `index` of `count` in this epoch."""

    epoch: int
    index: int
    count: int


class Fault(Record):
    """The child's answer for a clip that it cannot use."""

    code: int
    """A `data.status.Code`."""
    detail: str
    """What was found, for the log."""


class PairsRequest(Record):
    """Ask for pairs of the clip whose bytes come with the request."""

    sample: Sample
    """The clip's row of the index."""
    slots: tuple[Slot, ...]
    """A pair for each."""


class PairsAnswer(Record):
    """What one opened clip gave; the pixels of all its pairs are the answer's bytes."""

    codes: tuple[int, ...]
    """A `data.status.Code` for each slot."""
    decode_s: float
    """Seconds spent opening and decoding."""
    resize_s: float
    """Seconds spent cropping and resizing."""


class FramesRequest(Record):
    """Ask for consecutive frames of a clip: the file at `path`, or the bytes that come with the request."""

    path: str | None = None
    """A local video file."""
    kind: str = "video"
    """`video` or `frames`, as in the index."""
    fps: float = 0.0
    """Frame rate of a clip of kind `frames`."""
    start: int = 0
    """Number of the first frame."""
    most_bytes: int = 0
    """Frames are sent until they take more than this; 0 asks for the number of frames alone."""


class FramesAnswer(Record):
    """Consecutive frames of one size; their pixels, uint8 RGB, are the answer's bytes."""

    total: int
    """Frames of the whole clip."""
    count: int
    """Frames that are sent."""
    height: int
    """Of the frames that are sent, in pixels."""
    width: int
    """Of the frames that are sent, in pixels."""


class MadeClip(Record):
    """A finished clip as a file, and what reading it back says of it."""

    files: tuple[str, ...]
    """One local video, or images in order."""
    frames: int
    """Frames that decode."""
    fps: float
    """Mean frame rate; 0 for a single frame."""
    width: int
    """Of the upright frame, in pixels."""
    height: int
    """Of the upright frame, in pixels."""
    duration: float
    """Seconds from the first frame to the end of the last one."""
    codec: str
    """FFmpeg's name of the video codec; `images` for a frame folder."""
    start: float
    """Start in the source, in seconds."""
    end: float
    """End in the source, in seconds."""
    treatments: tuple[Treatment, ...] = ()
    """What is done to its pictures and times when it is decoded."""
    is_plain: bool = True
    """Whether its packets, copied one by one, are the clip: every frame is shown, at the time that its packet has."""
    has_pause: bool = False
    """Whether a frame is shown for so long that a part has to end there."""


class SourceRequest(Record):
    """Ask what a source of a build is as a whole (`probe`), or for its clips (`convert`)."""

    op: Literal["probe", "convert"]
    """`probe` writes nothing."""
    kind: str
    """`video` or `frames`."""
    files: tuple[str, ...]
    """The local video, or the images of a frame folder in order."""
    fps: float | None = None
    """To probe a frame folder: its frame rate."""
    folder: str = ""
    """To convert: an empty local folder for new files."""
    start_s: float | None = None
    """To convert a part of a video: its start; null: the start of the video."""
    end_s: float | None = None
    """To convert a part of a video: its end; null: the end of the video."""
    probed: MadeClip | None = None
    """To convert a video: what probing it said."""


class SourceAnswer(Record):
    """The clips of one source, or why there are none."""

    clips: tuple[MadeClip, ...] = ()
    """In the order of their start; one if the source was probed."""
    reason: str | None = None
    """Word for `rejected.jsonl`; null if there are clips."""
    detail: str = ""
    """What was found."""
