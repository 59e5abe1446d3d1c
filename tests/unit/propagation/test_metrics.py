"""J and F against the official toolkit's numbers, IoU and PCK against values worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from videomac.propagation import metrics
from videomac.propagation.masks import VOID


def read(folder):
    return np.stack([np.array(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def official(truth_of, prediction_of, sequences):
    per_object = {}
    for sequence in sequences:
        truth, prediction = truth_of(sequence), prediction_of(sequence)
        objects = int(truth[0][truth[0] != VOID].max())
        scores = metrics.davis_clip(truth[1:-1], prediction[1:-1], range(1, objects + 1))
        for o in range(objects):
            per_object[f"{sequence}_{o + 1}"] = metrics.davis_object(scores["J"][o], scores["F"][o])
    return metrics.davis_total(per_object), per_object


def assert_official(total, per_object, expected):
    assert total == pytest.approx({k: v for k, v in expected.items() if k != "per_object"}, abs=1e-6)
    for name, scores in expected["per_object"].items():
        assert {k: per_object[name][k] for k in scores} == pytest.approx(scores, abs=1e-6)


def test_official_scores_of_shifted_multi_object_masks(fixtures):
    expected = json.loads((fixtures / "official_scores.json").read_text())["shifted_by_dy3_dx2_on_multi_object"]

    def shifted(sequence):
        truth = read(fixtures / "davis_truth" / sequence)
        moved = np.zeros_like(truth)
        moved[:, 3:, 2:] = truth[:, :-3, :-2]
        return moved

    scores = official(lambda s: read(fixtures / "davis_truth" / s), shifted, ["bmx-trees", "motocross-jump"])
    assert_official(*scores, expected)


@pytest.mark.slow
@pytest.mark.needs_shared
def test_official_scores_of_a_published_method(shared):
    expected = json.loads((shared / "davis" / "official_scores.json").read_text())["osvos_on_visible6"]
    sequences = (shared / "davis" / "ImageSets" / "2017" / "val.txt").read_text().split()
    scores = official(
        lambda s: read(shared / "davis" / "Annotations" / "480p" / s),
        lambda s: (read(shared / "davis" / "osvos_predictions" / s) > 0).astype(np.uint8),
        sequences,
    )
    assert_official(*scores, expected)


def test_void_counts_as_background():
    truth = np.zeros((1, 8, 8), np.uint8)
    truth[0, 2:6, 2:6] = 1
    with_void = truth.copy()
    with_void[0, :2] = VOID
    prediction = np.roll(truth, 1, axis=1)
    for metric in "JF":
        assert (
            metrics.davis_clip(truth, prediction, (1,))[metric]
            == metrics.davis_clip(with_void, prediction, (1,))[metric]
        )


def test_statistics_by_hand():
    got = metrics.statistics(np.array([1.0, 0.8, 0.6, 0.4, 0.2]))
    # Quarters by the toolkit's inclusive edges 0, 1, 2, 3, 4: first = mean(1, .8), last = mean(.4, .2).
    assert got == pytest.approx({"Mean": 0.6, "Recall": 0.6, "Decay": 0.6})


def test_statistics_of_long_clips_do_not_wrap():
    falling = np.linspace(1, 0, 1000)
    assert metrics.statistics(falling)["Decay"] == pytest.approx(0.75, abs=0.01)


def test_mean_iou_by_hand():
    truth, prediction = np.array([[0, 0, 1], [1, 2, 255]]), np.array([[0, 1, 1], [1, 0, 2]])
    mean, per_class = metrics.mean_iou(metrics.confusion(truth, prediction, 4))
    assert per_class[:3] == pytest.approx([1 / 3, 2 / 3, 0.0])
    assert math.isnan(per_class[3]), "a class absent from truth and prediction is no class"
    assert mean == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_pck_by_hand():
    # Box of the visible joints 30 x 40: normaliser 0.6 * 50 = 30. Errors 3, 15 and 9 px: 0.1, 0.5 and 0.3.
    truth = np.array([[[0.0, 0.0], [30.0, 40.0], [10.0, 10.0], [500.0, 500.0]]])
    found = truth + np.array([[[3.0, 0.0], [0.0, 15.0], [9.0, 0.0], [0.0, 0.0]]])
    present, exists = np.array([[True, True, True, False]]), np.ones((1, 4), bool)
    distances = metrics.pck_distances(truth, present, found, exists)
    assert distances[0, :3] == pytest.approx([0.1, 0.5, 0.3])
    assert math.isnan(distances[0, 3]), "a joint that is not annotated is not scored"
    scores = metrics.pck({str(j): [d] for j, d in enumerate(distances[0, :3])})
    assert scores["PCK@0.1"]["mean"] == pytest.approx(1 / 3)
    assert scores["PCK@0.3"]["mean"] == pytest.approx(2 / 3)
    assert scores["PCK@0.5"] == pytest.approx({"0": 1, "1": 1, "2": 1, "mean": 1})


def test_pck_means_over_joints_not_over_points():
    scores = metrics.pck({"often": [0.0] * 9, "rare": [1.0], "never": []})
    assert scores["PCK@0.2"]["mean"] == pytest.approx(0.5)
    assert "never" not in scores["PCK@0.2"]
