"""Evaluations of small data sets."""

from __future__ import annotations

import pytest

from tests.unit.evaluation.material import prepared, write_davis, write_points


@pytest.fixture
def davis(sample_davis, tmp_path):
    return write_davis(tmp_path / "davis", sample_davis)


@pytest.fixture
def evaluation(davis, tmp_path):
    return prepared(davis, tmp_path / "out")


@pytest.fixture
def points(sample_davis, tmp_path):
    return prepared(write_points(tmp_path / "points", sample_davis), tmp_path / "out", task="keypoints", preset="jhmdb")
