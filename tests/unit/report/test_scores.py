"""The scores of an evaluation on the page of a run."""

from __future__ import annotations

import pytest

from tests.unit.report.conftest import evaluation
from videomac.records.evaluation import Results
from videomac.report.scores import read_scores


@pytest.fixture
def scores():
    return read_scores(evaluation())


def test_headlines_of_the_model_the_untrained_network_and_raw_pixels(scores):
    assert (scores.ours, scores.random, scores.raw) == pytest.approx((0.71, 0.56, 0.64))
    assert (scores.title, scores.measures) == ("J&F", ["J&F-Mean", "J-Mean", "F-Mean"])
    assert scores.protocol == ("Protocol crw-240p (0123456789ab), not comparable with published numbers; 2 sequences.")


def test_means_and_distances_to_the_untrained_network(scores):
    table = scores.means_table()
    assert table.rows[0][:3] == ["pretrained", 1, pytest.approx(0.71)]
    assert table.rows[0][-2:] == [pytest.approx(0.15), pytest.approx(0.15)]
    assert table.rows[1][-2:] == [None, None], "the untrained network itself"
    assert len(scores.clips_table().rows) == 6


def test_a_score_that_is_not_defined_breaks_nothing():
    results = evaluation()
    undefined = [row.model_copy(update={"scores": dict.fromkeys(row.scores)}) for row in results.rows]
    scores = read_scores(results.model_copy(update={"rows": tuple(undefined)}))
    assert (scores.ours, scores.random, scores.raw) == (None, None, None)
    assert scores.bars()[0][1] == 0.0
    assert scores.means_table().rows[0][-2:] == [None, None]


def test_another_task_shows_its_headline_and_a_few_others(fixtures):
    content = (fixtures / "evaluation_66eb288/keypoints/results.json").read_bytes()
    scores = read_scores(Results.from_json(content, "results.json"))
    assert scores.measures == ["PCK@0.1", "PCK@0.2", "PCK@0.3", "PCK@0.4", "PCK@0.5"]
    assert [row.label for row in scores.summary()] == scores.labels


def test_nothing_scored_is_nothing():
    assert read_scores(None) is None
    assert read_scores(evaluation().model_copy(update={"rows": ()})) is None
