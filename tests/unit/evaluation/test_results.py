"""Records put together: order, seeds, partial results, baselines, values that are not defined."""

from __future__ import annotations

import json
import math

import pytest

from tests.unit.evaluation.material import RAW, answer, prepared, write_davis
from videomac.errors import EvaluationError
from videomac.evaluation.results import Scored, assemble, write_results
from videomac.propagation import summary
from videomac.records.evaluation import Results

UNTRAINED = {"label": "untrained", "source": "random", "model": "convnextv2_atto", "seeds": [0, 1]}


@pytest.fixture(scope="module")
def compared(sample_davis, tmp_path_factory):
    """An evaluation with a baseline, and the answers of all its jobs."""
    folder = tmp_path_factory.mktemp("compared")
    evaluation = prepared(
        write_davis(folder / "davis", sample_davis), folder / "out", features=[*RAW, UNTRAINED], baselines=[]
    )
    return evaluation, [(job, answer(evaluation, job).record) for job in evaluation.jobs()]


def scored(pairs, failures=()):
    found = Scored(list(failures))
    for job, record in pairs:
        found.add(job, record)
    return found


def as_baseline(evaluation, label):
    import dataclasses

    rows = [dataclasses.replace(c, is_baseline=c.label == label) for c in evaluation.candidates]
    return dataclasses.replace(evaluation, candidates=tuple(rows))


def test_the_order_in_which_clips_come_back_changes_nothing(compared):
    evaluation, pairs = compared
    one, other = (assemble(evaluation, scored(order)) for order in (pairs, reversed(pairs)))
    assert one.to_json() == other.to_json()
    assert list(one.rows[0].clips) == ["dog", "blackswan"], "the data set's order"


def test_a_row_over_seeds_is_the_mean_of_its_seeds(compared):
    evaluation, pairs = compared
    row = assemble(evaluation, scored(pairs)).rows[2]
    totals = []
    for seed in (0, 1):
        parts = {j.clip.name: r.parts for j, r in pairs if j.candidate.label == "untrained" and j.seed == seed}
        totals.append(summary.total("davis", {clip: parts[clip] for clip in ("dog", "blackswan")})[0])
    assert list(row.scores_by_seed) == totals
    assert row.scores == summary.mean_of(totals)
    assert (row.seeds, row.stage, row.stride) == ((0, 1), 1, 8)
    assert row.facts.architecture == "convnextv2_atto"


def test_a_clip_without_one_of_its_seeds_is_left_out_of_its_row(compared):
    evaluation, pairs = compared
    lost = next(job for job, _ in pairs if job.seed == 1 and job.clip.name == "dog")
    found = scored([(job, record) for job, record in pairs if job is not lost])
    found.fail(lost, "the reason")
    results = assemble(evaluation, found)
    assert list(results.rows[2].clips) == ["blackswan"]
    assert list(results.rows[0].clips) == ["dog", "blackswan"]
    assert results.partial
    assert [f.to_plain() for f in results.failures] == [
        {"features": "untrained", "clip": "dog", "seed": 1, "error": "the reason"}
    ]


def test_without_the_first_candidate_there_are_no_headline_scores(compared):
    evaluation, pairs = compared
    results = assemble(as_baseline(evaluation, "patches"), scored(pairs[1:4] + pairs[5:]))
    assert [row.label for row in results.rows] == ["patches", "untrained"]
    assert (results.scores, results.baselines) == ({}, ())


def test_nothing_scored_is_an_error_with_the_first_failure(compared):
    evaluation, pairs = compared
    found = scored([])
    for job, _ in pairs:
        found.fail(job, f"{job.clip.name} is broken")
    with pytest.raises(EvaluationError, match="no clip could be scored: dog is broken"):
        assemble(evaluation, found)


def test_a_baseline_is_compared_clip_by_clip(compared):
    evaluation, pairs = compared
    results = assemble(as_baseline(evaluation, "patches"), scored(pairs))
    (baseline,) = results.baselines
    assert (baseline.against, baseline.metric, baseline.clips) == ("patches", "J&F-Mean", 2)
    ours, theirs = (results.rows[i].clips["dog"]["J&F-Mean"] for i in (0, 1))
    assert baseline.per_clip["dog"] == pytest.approx(ours - theirs)
    assert baseline.low <= baseline.mean <= baseline.high


def test_results_say_what_they_were_made_with(compared):
    evaluation, pairs = compared
    results = assemble(evaluation, scored(pairs))
    assert (results.task, results.headline, results.preset) == ("davis", "J&F-Mean", "crw")
    assert results.preset_hash == evaluation.preset.hash() == results.rows[0].preset_hash
    assert results.dataset_hash == results.rows[1].dataset_hash
    assert results.data.clips == ("dog", "blackswan")
    assert results.config_hash == evaluation.settings.config_hash()
    assert results.config == evaluation.settings.model_dump(mode="json")
    assert {p.label for p in results.published} >= {"DINO ViT-S/16"}
    assert results.scores == results.rows[0].scores
    assert results.versions["torch"]


def test_the_file_holds_what_is_in_hand_and_null_where_a_score_is_not_defined(compared, tmp_path):
    evaluation, pairs = compared
    pairs = [
        (job, record.model_copy(update={"scores": {**record.scores, "J-Decay": math.nan}})) for job, record in pairs
    ]
    results = assemble(evaluation, scored(pairs))
    write_results(str(tmp_path / "out"), results)
    content = (tmp_path / "out/results.json").read_text()
    assert Results.from_json(content, "results.json") == results
    assert json.loads(content)["rows"][0]["clips"]["dog"]["J-Decay"] is None
    assert "NaN" not in content
