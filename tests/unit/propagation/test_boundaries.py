"""F and J of two masks against a transcription of the official toolkit, on random masks, large blobs, empty masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.reference import propagation as published
from videomac.propagation.boundaries import boundary_f
from videomac.propagation.metrics import jaccard

masks = hnp.arrays(bool, st.tuples(st.integers(2, 40), st.integers(2, 40)))


@given(st.data())
def test_boundary_f_equals_dilating_whole_images(data):
    truth = data.draw(masks)
    prediction = data.draw(hnp.arrays(bool, truth.shape))
    assert boundary_f(truth, prediction) == pytest.approx(published.f_measure(prediction, truth), abs=1e-12)
    assert jaccard(truth, prediction) == pytest.approx(published.iou(truth, prediction), abs=1e-12)


def test_boundary_f_of_large_blobs_equals_dilating_whole_images():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:240, :427]
    for _ in range(4):
        cy, cx, dy, dx = rng.integers(20, 200), rng.integers(20, 400), *rng.integers(-12, 12, 2)
        truth = (y - cy) ** 2 + 2 * (x - cx) ** 2 < 60**2
        prediction = (y - cy - dy) ** 2 + 2 * (x - cx - dx) ** 2 < 55**2
        assert boundary_f(truth, prediction) == pytest.approx(published.f_measure(prediction, truth), abs=1e-12)


def test_empty_masks():
    empty, full = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    full[2:5, 2:5] = True
    assert jaccard(empty, empty) == boundary_f(empty, empty) == 1.0
    assert jaccard(full, empty) == boundary_f(full, empty) == boundary_f(empty, full) == 0.0
