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


def test_a_clip_shows_label_maps_or_what_was_drawn_of_them() -> None:
    frames, ids = np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 7])
    labels = np.ones((2, 8, 8), np.uint8)
    masks = pictures.propagation(
        "a", {"frames": frames, "frame_ids": ids, "truth": labels, "prediction_1": labels}, ["x", "y"]
    )
    assert [label for label, _ in masks.rows] == ["truth", "y"]
    assert [caption for _, caption in masks.rows[0][1]] == ["frame 0", "frame 7"]
    drawn = {"frames": frames, "frame_ids": ids, "drawn_prediction_0": frames + 9}
    assert (pictures.drawn_frames(drawn, "prediction_0")[1] == 9).all()
    assert [label for label, _ in pictures.propagation("b", drawn, ["x"]).rows] == ["x"]
