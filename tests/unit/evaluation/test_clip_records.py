"""Finished clips: predictions and records come back, and are taken over under an equal key only."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.evaluation.material import answer
from videomac.evaluation.clip_records import read_clip_record, read_prediction, write_clip


@pytest.fixture
def job(evaluation):
    return next(iter(evaluation.jobs()))


def test_masks_come_back_as_they_were_written(evaluation, job):
    found = answer(evaluation, job)
    write_clip(evaluation.out, job, found.prediction, found.record)
    assert read_clip_record(evaluation.out, job) == found.record
    assert np.array_equal(read_prediction(evaluation.out, job), found.prediction)


def test_masks_are_pngs_that_official_toolkits_read(evaluation, job):
    found = answer(evaluation, job)
    write_clip(evaluation.out, job, found.prediction, found.record)
    with Image.open(f"{evaluation.out}/predictions/colour/0/dog/00003.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        assert np.array_equal(np.array(image), found.prediction[3])


def test_key_points_come_back_rounded_and_lost_ones_as_nan(points):
    job = next(iter(points.jobs()))
    found = answer(points, job)
    prediction = found.prediction.copy()
    prediction[1, 0] = np.nan
    write_clip(points.out, job, prediction, found.record)
    back = read_prediction(points.out, job)
    assert back.shape == prediction.shape
    np.testing.assert_allclose(back, prediction, atol=0.005)
    assert np.isnan(back[1, 0]).all()
    document = json.loads(Path(f"{points.out}/predictions/{job.place}.json").read_text())
    assert document["joints"] == ["nose", "tail"]
    assert next(iter(document["frames"])) == "00001"


def test_another_key_is_not_taken_over(evaluation, job):
    found = answer(evaluation, job)
    write_clip(evaluation.out, job, found.prediction, found.record)
    other = dataclasses.replace(job, key=job.key.model_copy(update={"preset_hash": "another"}))
    assert read_clip_record(evaluation.out, other) is None
    seeded = job.key.features.model_copy(update={"seed": 1})
    other = dataclasses.replace(job, key=job.key.model_copy(update={"features": seeded}))
    assert read_clip_record(evaluation.out, other) is None


def test_a_torn_record_or_none_is_scored_again(evaluation, job, tmp_path):
    assert read_clip_record(evaluation.out, job) is None
    found = answer(evaluation, job)
    write_clip(evaluation.out, job, found.prediction, found.record)
    path = tmp_path / "out/clips/colour/0/dog.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert read_clip_record(evaluation.out, job) is None


def test_removed_predictions_are_missing(evaluation, points, job):
    assert read_prediction(evaluation.out, job) is None
    assert read_prediction(points.out, next(iter(points.jobs()))) is None
