"""Totals, means and paired differences by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videomac.propagation import summary
from videomac.records.evaluation import ClipParts


def test_totals_weigh_objects_not_clips():
    def scores(value):
        return {f"{m}-{k}": value for m in "JF" for k in ("Mean", "Recall", "Decay")}

    parts = {
        "a": ClipParts(objects={"a_1": scores(0.0), "a_2": scores(0.0)}),
        "b": ClipParts(objects={"b_1": scores(0.9)}),
    }
    total, details = summary.total("davis", parts)
    assert total["J&F-Mean"] == pytest.approx(0.3)
    assert list(details.objects) == ["a_1", "a_2", "b_1"]


def test_vip_total_is_one_confusion_matrix():
    parts = {"a": ClipParts(confusion=((4, 0), (0, 0))), "b": ClipParts(confusion=((0, 2), (0, 2)))}
    total, _ = summary.total("vip", parts)
    assert total["mIoU"] == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_pck_total_is_over_all_frames_of_all_clips():
    parts = {"a": ClipParts(distances={"x": (0.05,) * 3, "y": (0.9,)}), "b": ClipParts(distances={"x": (0.9,)})}
    total, _ = summary.total("jhmdb", parts)
    assert total["PCK@0.1"] == pytest.approx((3 / 4 + 0) / 2)


def test_paired_difference():
    result = summary.paired_difference({"a": 0.9, "b": 0.7, "c": 0.5}, {"a": 0.6, "b": 0.5, "d": 1.0})
    assert result.mean == pytest.approx(0.25)
    assert result.clips == 2
    assert (result.low, result.high) == (pytest.approx(0.2), pytest.approx(0.3))
    assert result == summary.paired_difference({"a": 0.9, "b": 0.7, "c": 0.5}, {"a": 0.6, "b": 0.5, "d": 1.0})


def test_paired_difference_without_common_clips():
    assert summary.paired_difference({"a": 1.0}, {"b": 1.0}).mean is None


def test_the_interval_is_the_percentile_bootstrap_that_it_always_was():
    """SciPy draws the same clips from the same seed: intervals of old results can be computed again."""
    ours = {str(i): float(value) for i, value in enumerate(np.random.default_rng(1).normal(size=7))}
    difference_c = np.array(list(ours.values()))
    drawn = np.random.default_rng(0).integers(7, size=(summary.RESAMPLES, 7))
    low, high = np.quantile(difference_c[drawn].mean(1), [0.025, 0.975])
    result = summary.paired_difference(ours, dict.fromkeys(ours, 0.0))
    assert (result.low, result.high) == (pytest.approx(low, abs=1e-15), pytest.approx(high, abs=1e-15))


def test_one_clip_in_common_has_an_interval_of_one_value():
    result = summary.paired_difference({"a": 0.75}, {"a": 0.5, "b": 0.1})
    assert (result.clips, result.low, result.mean, result.high) == (1, 0.25, 0.25, 0.25)


def test_a_score_that_is_not_defined_leaves_the_difference_undefined():
    result = summary.paired_difference({"a": 0.75, "b": math.nan}, {"a": 0.5, "b": 0.1})
    assert (result.clips, result.mean, result.low, result.high) == (2, None, None, None)
    assert result.per_clip == {"a": 0.25, "b": None}


def test_details_have_null_where_a_score_is_not_defined():
    _, details = summary.total("jhmdb", {"a": ClipParts(distances={"x": (), "y": ()})})
    assert details.joints["PCK@0.1"] == {"mean": None}
