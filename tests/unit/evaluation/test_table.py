"""The table on the screen."""

from __future__ import annotations

import pytest

from videomac.evaluation.table import print_table
from videomac.records.evaluation import Baseline, Failure, Results


@pytest.fixture
def results(fixtures):
    return Results.from_json((fixtures / "evaluation_66eb288/davis/results.json").read_bytes(), "results.json")


def shown(capsys, results, **changes):
    print_table(results.model_copy(update=changes))
    return capsys.readouterr().out


def test_every_row_with_its_scores_and_differences(capsys, results):
    text = shown(capsys, results)
    assert f"preset crw ({results.preset_hash})" in " ".join(text.split())
    for row in results.rows:
        assert row.label in text
        assert f"{row.scores['J&F-Mean']:.3f}" in text
    assert "J&F-Mean against evaluation: -0.022 [" in text
    assert "2 clips, 95 % bootstrap" in text
    assert "PARTIAL" not in text


def test_partial_results_say_so(capsys, results):
    failure = Failure(features=None, clip="dog", seed=None, error="broken")
    assert "PARTIAL: 1 not scored" in " ".join(shown(capsys, results, partial=True, failures=(failure,)).split())


def test_a_score_that_is_not_defined_is_a_dash(capsys, results):
    row = results.rows[0].model_copy(update={"scores": {"mIoU": None}})
    assert "│ -  " in shown(capsys, results, rows=(row,), baselines=())


@pytest.mark.parametrize(("clips", "text"), [(0, "no clip in common"), (2, "no score in common")])
def test_a_difference_that_is_not_defined(capsys, results, clips, text):
    empty = {"per_clip": {}, "mean": None, "low": None, "high": None, "level": 0.95}
    baseline = Baseline(against="theirs", metric="mIoU", clips=clips, **empty)
    assert f"against theirs: {text}" in shown(capsys, results, baselines=(baseline,))
