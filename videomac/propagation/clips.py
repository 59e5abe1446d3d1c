"""What a labelled clip is: frames, and the masks or key points of some of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from videomac.propagation.frames import Frames
from videomac.storage.checksums import Sha256, sha256_of_file


@dataclasses.dataclass(frozen=True)
class MaskClip:
    """A clip with indexed masks of some frames; labels start from the first labelled one."""

    name: str
    frames: Frames
    masks: dict[int, Path]
    """Frame number -> indexed PNG."""
    scored: tuple[int, ...]
    """Numbers of the frames that the protocol scores."""

    @property
    def start(self) -> int:
        """The frame whose labels are given."""
        return min(self.masks)

    def digest(self) -> str:
        """Hash of frames, masks and which of them are scored."""
        whole = Sha256(self.frames.digest().encode())
        for number, path in sorted(self.masks.items()):
            whole.add(f"{number}:{number in self.scored}:".encode() + bytes.fromhex(sha256_of_file(path)))
        return whole.hex


@dataclasses.dataclass(frozen=True)
class PointClip:
    """A clip with key points in some frames; labels start from the first annotated one."""

    name: str
    frames: Frames
    numbers: tuple[int, ...]
    """Annotated frames, ascending; the t axis of the arrays."""
    xy_tj2: np.ndarray
    """x and y in pixels of the frames, from 0."""
    present_tj: np.ndarray
    """Whether the joint is annotated in that frame."""
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    """Pairs of joints that a skeleton connects."""

    @property
    def start(self) -> int:
        """The frame whose key points are given."""
        return self.numbers[0]

    def digest(self) -> str:
        """Hash of frames and key points."""
        whole = Sha256(self.frames.digest().encode())
        for array in (np.asarray(self.numbers), self.xy_tj2, self.present_tj):
            whole.add(np.ascontiguousarray(array).tobytes())
        return whole.hex


Clip = MaskClip | PointClip
