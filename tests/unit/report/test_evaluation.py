"""The page of an evaluation, from results in hand or from its folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.report.conftest import evaluation, scores
from videomac.errors import StorageError
from videomac.records.evaluation import Baseline, Failure, Results
from videomac.report import evaluation as page
from videomac.report.evaluation import write_evaluation_page, write_evaluation_report


def timeless(path: str) -> str:
    """The page without the moment it was made and without matplotlib's random ids."""
    html = Path(path).read_text(encoding="utf-8")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d|base64,[A-Za-z0-9+/=]+", "", html)


@pytest.mark.parametrize("task", ["davis", "vip", "keypoints"])
def test_results_in_hand_and_in_the_folder_give_one_page(fixtures, tmp_path, task):
    content = (fixtures / "evaluation_66eb288" / task / "results.json").read_bytes()
    (tmp_path / "results.json").write_bytes(content)
    from_folder = timeless(write_evaluation_report(str(tmp_path)))
    in_hand = timeless(write_evaluation_page(str(tmp_path), Results.from_json(content, "results.json")))
    assert from_folder == in_hand
    assert f"Task {task}" in in_hand
    assert "No pictures; set pictures=true to draw them." in in_hand


def test_pictures_are_taken_from_the_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/dog.mp4").write_bytes(b"video")
    (tmp_path / "pictures/dog.pca.jpg").write_bytes(b"components")
    html = Path(write_evaluation_page(str(tmp_path), evaluation())).read_text()
    assert "data:video/mp4;base64,dmlkZW8=" in html
    assert "data:image/jpeg;base64,Y29tcG9uZW50cw==" in html


def test_best_median_and_worst_clip_of_the_first_row(tmp_path):
    results = evaluation()
    clips = {name: scores(value) for name, value in (("a", 0.2), ("b", 0.9), ("c", 0.5), ("d", 0.7), ("e", 0.1))}
    first = results.rows[0].model_copy(update={"clips": clips})
    chosen = page._chosen(results.model_copy(update={"rows": (first,)}))
    assert chosen == [("best", "b"), ("median", "c"), ("worst", "e")]
    assert page._chosen(results) == [("best", "blackswan"), ("worst", "dog")]


def test_what_is_partial_or_not_defined_is_shown(tmp_path):
    results = evaluation()
    undefined = results.rows[1].model_copy(update={"scores": dict.fromkeys(results.rows[1].scores)})
    failure = Failure(features="pretrained", clip="camel", seed=0, error="camel/00002.jpg: not a readable image")
    empty = {"per_clip": {}, "mean": None, "low": None, "high": None, "level": 0.95}
    baseline = Baseline(against="mean colour", metric="J&F-Mean", clips=0, **empty)
    changes = {"rows": (results.rows[0], undefined), "partial": True, "failures": (failure,), "baselines": (baseline,)}
    html = Path(write_evaluation_page(str(tmp_path), results.model_copy(update=changes))).read_text()
    assert "Partial: 1 not scored" in html
    assert "camel/00002.jpg: not a readable image" in html
    assert "Against the baselines" in html


def test_a_folder_without_readable_results_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"results\.json.*videomac evaluate"):
        write_evaluation_report(str(tmp_path))
    (tmp_path / "results.json").write_text('{"task": "davis"}')
    with pytest.raises(StorageError, match=r"results\.json: not a Results record: schema: Field required"):
        write_evaluation_report(str(tmp_path))
