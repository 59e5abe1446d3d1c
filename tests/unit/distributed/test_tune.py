"""A trial of a sweep: which checkpoint is exported and what is reported; training and scoring are stand-ins."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from videomac import config
from videomac.distributed import tune as sweep


@pytest.fixture
def reported(monkeypatch, tmp_path):
    """Runs one trial below `tmp_path`; gives the exported checkpoint and what Ray Tune was told."""
    told = {}
    run = SimpleNamespace(folder=f"{tmp_path}/one/trials/t1", checkpoint="the last one")
    monkeypatch.setattr(sweep, "pretrain", lambda trial: run)
    monkeypatch.setattr(sweep, "export_checkpoint", lambda checkpoint, out: told.update(exported=checkpoint))
    monkeypatch.setattr(sweep, "evaluate", lambda settings: {"scores": {"J&F-Mean": 0.5}})
    monkeypatch.setattr(sweep.tune, "get_context", lambda: SimpleNamespace(get_trial_id=lambda: "t1"))
    monkeypatch.setattr(sweep.tune, "report", told.update)

    def trial():
        overrides = ["name=one", f"storage={tmp_path}"]
        settings = config.load(config.Tune, "configs/tune/mask_momentum.yaml", overrides)
        sweep.train_and_score({"model.mask_ratio": 0.5}, settings.model_dump(mode="json"), str(tmp_path))
        return told

    return trial


def test_without_a_probe_the_last_checkpoint_is_scored(reported):
    told = reported()
    assert told["exported"] == "the last one"
    assert "probe" not in told


def test_the_best_probed_checkpoint_is_scored_and_its_score_ranks(reported, tmp_path):
    folder = tmp_path / "one/trials/t1/best"
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps({"name": "step_0000040", "score": 0.7}))
    (tmp_path / "one/trials/t1/config.yaml").write_text("")
    told = reported()
    assert told["exported"] == f"{tmp_path}/one/trials/t1/best/step_0000040"
    assert (told["probe"], told["J&F-Mean"]) == (0.7, 0.5)
