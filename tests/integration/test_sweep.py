"""A sweep of two by two trials: each trains, is exported and scored; the best is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_jobs import tune
from videomac.facts.tasks import TASKS
from videomac.records.sweep import Results

SECRET = "sweep-Secret-90c1"
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(420)]


def test_a_two_by_two_sweep_is_scored_by_propagation(ray_cluster, sample_shards, tmp_path, capfd):
    assert (
        tune.main(
            [
                "configs/tune/mask_momentum.yaml",
                f"storage={tmp_path}",
                "max_concurrent=2",
                f"pretrain.data.manifest={sample_shards}/manifest.json",
                "pretrain.data.image_size=[64, 64]",
                "pretrain.model.decoder_dim=32",
                "pretrain.train={batch_size: 8, micro_batch: 4, steps: 2}",
                "pretrain.checkpoint.every_steps=2",
                "pretrain.workers.count=1",
                f"pretrain.data.storage_options={{key: {SECRET}1, secret: {SECRET}2}}",
            ]
        )
        == 0
    )

    results = Results.from_json((tmp_path / "mask_momentum" / "results.json").read_bytes(), "results.json")
    scores = [trial.scores["J&F-Mean"] for trial in results.trials]
    assert len({json.dumps(trial.values) for trial in results.trials}) == 4
    assert scores == sorted(scores, reverse=True)
    assert set(results.trials[0].scores) == set(TASKS["davis"].scores)
    assert results.best == results.trials[0].name
    assert (tmp_path / "mask_momentum" / "report.html").exists()
    assert f"best: {results.best}" in capfd.readouterr().out
    for trial in results.trials:
        assert (Path(str(trial.run_folder)) / "report.html").exists(), "every trial is a run with a page of its own"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == [], "Ray Tune's own files included"
