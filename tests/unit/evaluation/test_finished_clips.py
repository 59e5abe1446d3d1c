"""Clips that are finished once all of their jobs are back, and their pictures from what is in hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.unit.evaluation.material import RAW, answer, prepared
from videomac.evaluation.candidates import Candidate
from videomac.evaluation.clip_records import write_clip
from videomac.evaluation.finished_clips import FinishedClip, OpenClips, Prediction, draw_pictures

UNTRAINED = {"label": "untrained", "source": "random", "model": "resnet18", "seeds": [0, 1]}


@pytest.fixture
def dog(evaluation):
    """The jobs of one clip with their answers."""
    return [(job, answer(evaluation, job, True)) for job in evaluation.jobs() if job.clip.name == "dog"]


def in_hand(job, found):
    return Prediction(job, found.prediction, found.components_tyx3)


def test_a_clip_is_finished_with_its_last_job_and_then_dropped(davis, tmp_path):
    evaluation = prepared(davis, tmp_path / "out", features=[UNTRAINED, *RAW])
    jobs = list(evaluation.jobs())
    clips = OpenClips(evaluation.candidates, jobs)
    in_reverse = list(reversed([job for job in jobs if job.clip.name == "dog"]))
    for job in in_reverse[:-1]:
        assert clips.ended(job, Prediction(job)) == []
    (finished,) = clips.ended(in_reverse[-1], Prediction(in_reverse[-1]))
    assert finished.clip.name == "dog"
    assert [p.job.place for p in finished.predictions] == ["untrained/0/dog", "colour/0/dog", "patches/0/dog"]
    assert not clips._held, "nothing is held of a finished clip"


def test_a_failed_candidate_has_no_prediction(evaluation, dog):
    clips = OpenClips(evaluation.candidates, [job for job, _ in dog])
    (first, _), (second, found) = dog
    assert clips.ended(first, None) == []
    (finished,) = clips.ended(second, in_hand(second, found))
    assert finished.predictions[0] is None
    assert finished.predictions[1].in_hand is found.prediction


def test_a_clip_that_nobody_scored_is_not_drawn(evaluation, dog):
    clips = OpenClips(evaluation.candidates, [job for job, _ in dog])
    assert [clips.ended(job, None) for job, _ in dog] == [[], []]


def test_pictures_in_hand_run_no_network_and_read_nothing_back(evaluation, dog, tmp_path, monkeypatch):
    monkeypatch.setattr(Candidate, "load", lambda *a: pytest.fail("the network was loaded again"))
    finished = FinishedClip(dog[0][0].clip, tuple(in_hand(job, found) for job, found in dog))
    draw_pictures(evaluation.out, evaluation.preset, finished)
    assert not (tmp_path / "out/predictions").exists(), "no prediction was written, so none could be read"
    for suffix in (".npz", ".jpg", ".mp4", ".pca.jpg"):
        assert (tmp_path / f"out/pictures/dog{suffix}").stat().st_size > 500


def test_a_clip_that_was_taken_over_gets_the_same_pictures(evaluation, dog, tmp_path):
    now = FinishedClip(dog[0][0].clip, tuple(in_hand(job, found) for job, found in dog))
    draw_pictures(str(tmp_path / "now"), evaluation.preset, now)
    for job, found in dog:
        write_clip(evaluation.out, job, found.prediction, found.record)
    draw_pictures(evaluation.out, evaluation.preset, FinishedClip(now.clip, tuple(Prediction(job) for job, _ in dog)))
    for suffix in (".jpg", ".pca.jpg"):
        one, other = (Image.open(tmp_path / folder / f"pictures/dog{suffix}") for folder in ("now", "out"))
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_predictions_of_an_earlier_protocol_are_not_drawn(evaluation, dog, tmp_path):
    """A candidate that failed now may have left predictions in the folder before."""
    (first, stale), (second, found) = dog
    write_clip(evaluation.out, first, stale.prediction, stale.record)
    draw_pictures(evaluation.out, evaluation.preset, FinishedClip(first.clip, (None, in_hand(second, found))))
    assert "prediction_0" not in np.load(tmp_path / "out/pictures/dog.npz")
