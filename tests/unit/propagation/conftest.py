"""Small labelled sets in each layout, made from the shipped DAVIS sequences."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def dog(sample_davis):
    """Frames and masks of the shipped sequence `dog`."""
    frames = sorted((sample_davis / "JPEGImages" / "240p" / "dog").glob("*.jpg"))
    masks = sorted((sample_davis / "Annotations" / "240p" / "dog").glob("*.png"))
    return frames, masks


@pytest.fixture
def place(dog):
    """Copies the first `count` frames (small), and masks by number, into folders."""

    def copy(frames_to, count=5, masks_to=None, masks=(), size=(96, 54), suffix=".jpg"):
        frames_to.mkdir(parents=True)
        for path in dog[0][:count]:
            Image.open(path).resize(size).save(frames_to / f"{path.stem}{suffix}")
        if masks_to is not None:
            masks_to.mkdir(parents=True)
        for number in masks:
            image = Image.open(dog[1][number]).resize(size, Image.Resampling.NEAREST)
            image.save(masks_to / f"{dog[1][number].stem}.png")

    return copy


@pytest.fixture
def small_davis(tmp_path, place):
    """A DAVIS root with the sequence `dog`: five frames of 96 x 54."""
    root = tmp_path / "DAVIS"
    place(root / "JPEGImages/480p/dog", 5, root / "Annotations/480p/dog", range(5))
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("dog\n")
    return root


@pytest.fixture
def write_video(dog):
    """Writes the first `count` frames as an MP4."""
    from videomac.report.clip_pictures import video

    def write(path, count=5, size=(96, 54)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video(np.asarray(Image.open(p).resize(size)) for p in dog[0][:count]))

    return write
