"""Results of a quickstart: what is written is read back, and files of version 66eb288 are read."""

from __future__ import annotations

import json

from videomac.records.quickstart import FeatureScores, Results

OLD = {
    "stages_s": {"shards": 6.2}, "first_stages_s": {"shards": 6.2},
    "training": {"step": 200, "rows": 6400, "loss": 1.8317, "pairs_per_s": 65.4},
    "ms_per_pair": {"training": 15.3}, "data": {"restarts": 0},
    "features": [{"label": "random", "source": "random", "stage": 1, "scores": {"J-Mean": None}, "clips": {"dog": {}}}],
    "config_hash": "abc", "commit": "0123456", "versions": {"torch": "2.6"}, "machine": "2 x x86_64",
}  # fmt: skip


def test_results_come_back_as_they_were_written() -> None:
    features = (FeatureScores(label="ours", source="export", stage=1, scores={"J-Mean": 0.5}),)
    results = Results(stages_s={"pretrain": 1.5}, training={"step": 2, "loss": 0.5}, features=features, commit="1+")
    assert Results.from_json(results.to_json(), "results.json") == results


def test_files_of_the_version_before_are_read() -> None:
    results = Results.from_json(json.dumps(OLD), "results.json")
    assert json.loads(results.to_json()) == OLD
    assert Results.from_json('{"stages_s": {"a": 1}, "a_later_key": {}}', "results.json").stages_s == {"a": 1.0}
