"""Label maps over frames."""

from __future__ import annotations

import numpy as np

from videomac.report import pictures


def test_background_and_unlabelled_pixels_stay_as_they_are() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    labels[5:10, 5:10], labels[12:15, 12:15] = 1, pictures.UNLABELLED
    drawn = pictures.overlay(frame, labels)
    assert (drawn[labels != 1] == frame[labels != 1]).all()
    assert (drawn[5, 5:10] == pictures.PALETTE[0]).all(), "an outline"
    inside = frame[7, 7] + 0.45 * (pictures.PALETTE[0].astype(float) - frame[7, 7])
    assert np.abs(drawn[7, 7] - inside).max() <= 0.5


def test_objects_have_different_colours_and_labels_any_size() -> None:
    frame = np.zeros((40, 60, 3), np.uint8)
    labels = np.zeros((10, 15), np.uint8)
    labels[2:5, 2:5], labels[6:9, 8:12] = 1, 2
    drawn = pictures.overlay(frame, labels)
    assert drawn.shape == frame.shape
    assert (drawn[8, 8] == pictures.PALETTE[0]).all()
    assert (drawn[24, 32] == pictures.PALETTE[1]).all()
