"""A sweep of two by two trials: each trains, is exported and scored; the best is named."""

from __future__ import annotations

import json

import pytest

from ray_jobs import tune

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
            ]
        )
        == 0
    )

    results = json.loads((tmp_path / "mask_momentum" / "results.json").read_text())
    scores = [trial["scores"]["J&F-Mean"] for trial in results["trials"]]
    values = {(t["values"]["model.mask_ratio"], tuple(t["values"]["optim.ema_momentum"])) for t in results["trials"]}
    assert len(values) == 4
    assert scores == sorted(scores, reverse=True)
    assert results["best"] == results["trials"][0]["name"]
    assert (tmp_path / "mask_momentum" / "report.html").exists()
    assert f"best: {results['best']}" in capfd.readouterr().out
