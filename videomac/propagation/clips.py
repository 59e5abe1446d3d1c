"""Labelled clips: frames, and the masks or key points of some of them.

Shape letters: t annotated frames, j joints.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from videomac.propagation.frames import Frames, read_bytes
from videomac.propagation.masks import Objects, find_objects, read_ids
from videomac.storage.checksums import Sha256, sha256_of


@dataclasses.dataclass(frozen=True)
class MaskClip:
    """A clip with indexed masks of some frames; labels are carried from the first labelled frame on."""

    name: str
    frames: Frames
    masks: dict[int, Path]
    """Indexed PNGs by frame, counted from 0."""
    scored: tuple[int, ...]
    """Frames that the protocol scores."""
    has_classes: bool = False
    """Whether ids are classes of the data set (VIP), and not objects of the clip."""

    @property
    def start(self) -> int:
        """The frame whose labels are given."""
        return min(self.masks)

    @functools.cached_property
    def objects(self) -> Objects:
        """What the first mask holds.

        Raises:
            EvaluationError: it cannot be read, or is empty.
        """
        return find_objects(self.masks[self.start], self.has_classes)

    def ids(self, t: int) -> np.ndarray:
        """Return the ids of frame t, uint8 (H, W).

        Raises:
            EvaluationError: they cannot be read.
        """
        return self.objects.named(read_ids(self.masks[t], self.has_classes))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the frames, the masks, which of them are scored, and what unusual ids were taken for."""
        whole = Sha256(self.frames.digest().encode())
        whole.add((self.objects.note or "").encode())  # results from before these were read so are not used again
        for t, path in sorted(self.masks.items()):
            whole.add(f"{t}:{t in self.scored}:".encode() + bytes.fromhex(sha256_of(read_bytes(path))))
        return whole.hex


@dataclasses.dataclass(frozen=True)
class PointClip:
    """A clip with key points in some frames; they are carried from the first annotated frame on."""

    name: str
    frames: Frames
    annotated: tuple[int, ...]
    """Frames with key points, ascending: the t axis of the arrays."""
    xy_tj2: np.ndarray
    """x and y in pixels of the frames, counted from 0."""
    present_tj: np.ndarray
    """Whether the joint is annotated in that frame."""
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    """Pairs of joints that the skeleton connects."""

    @property
    def start(self) -> int:
        """The frame whose key points are given."""
        return self.annotated[0]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the frames and the key points."""
        whole = Sha256(self.frames.digest().encode())
        for array in (np.asarray(self.annotated), self.xy_tj2, self.present_tj):
            whole.add(np.ascontiguousarray(array).tobytes())
        return whole.hex


Clip = MaskClip | PointClip
