"""A trial of a sweep, and the sweep's results; training and scoring are stand-ins."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import pytest

from videomac import config
from videomac.distributed import pipeline, tune
from videomac.errors import TrainingError
from videomac.records.sweep import Results


@pytest.fixture
def settings(tmp_path):
    return config.load(config.Tune, "configs/tune/mask_momentum.yaml", ["name=one", f"storage={tmp_path}"])


@pytest.fixture
def reported(monkeypatch, tmp_path, settings):
    """Runs one trial below `tmp_path`; gives the exported checkpoint and what Ray Tune was told."""
    told = {}
    run = SimpleNamespace(folder=f"{tmp_path}/one/trials/t1", checkpoint="the last one", was_finished=False)
    monkeypatch.setattr(pipeline, "pretrain", lambda trial: told.update(trial=trial) or run)
    monkeypatch.setattr(pipeline, "export", lambda wanted: told.update(exported=wanted))
    monkeypatch.setattr(
        pipeline,
        "evaluate",
        lambda wanted: told.update(scored=wanted) or SimpleNamespace(scores_or_nan={"J&F-Mean": 0.5}),
    )
    monkeypatch.setattr(tune.tune, "get_context", lambda: SimpleNamespace(get_trial_id=lambda: "t1"))
    monkeypatch.setattr(tune.tune, "report", told.update)
    (tmp_path / "one/trials/t1").mkdir(parents=True)

    def trial():
        tune.run_trial({"model.mask_ratio": 0.5}, settings.pretrain, settings.evaluate)
        return told

    return trial


def test_a_trial_trains_with_its_values_and_scores_its_own_export_without_pictures(reported, tmp_path):
    told = reported()
    place = f"{tmp_path}/one/trials/t1"
    assert (told["trial"].model.mask_ratio, told["trial"].run.name) == (0.5, "t1")
    assert (told["exported"].out, told["scored"].model) == (f"{place}/export", f"{place}/export")
    assert (told["scored"].out, told["scored"].pictures) == (f"{place}/evaluation", False)
    assert told["run_folder"] == place
    assert (tmp_path / "one/trials/t1/report.html").exists()


def test_a_trial_does_not_check_the_whole_sweep_again(reported, monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("the space was checked in a trial")

    monkeypatch.setattr(config.Tune, "trial_config", refuse)
    monkeypatch.setattr(config.Tune, "model_validate_json", refuse)
    assert reported()["J&F-Mean"] == 0.5


def test_without_a_probe_the_last_checkpoint_is_scored(reported):
    told = reported()
    assert told["exported"].checkpoint == "the last one"
    assert "probe" not in told


def test_the_best_probed_checkpoint_is_scored_and_its_score_ranks(reported, tmp_path):
    folder = tmp_path / "one/trials/t1/best"
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps({"name": "step_0000040", "score": 0.7}))
    (tmp_path / "one/trials/t1/config.yaml").write_text("")
    told = reported()
    assert told["exported"].checkpoint == f"{tmp_path}/one/trials/t1/best/step_0000040"
    assert (told["probe"], told["J&F-Mean"]) == (0.7, 0.5)


def result(name, error=None, **metrics):
    kept = {"trial_id": name, "time_total_s": 7.0, "run_folder": f"runs/{name}", **metrics}
    return SimpleNamespace(metrics=kept, config={"model.mask_ratio": 0.5}, error=error)


def test_only_the_scores_of_the_task_are_scores():
    noise = {"J": 1.0, "Foo": 2.0, "Jitter": 3.0, "mIoU": 4.0, "time_this_iter_s": 5.0}
    kept = tune._trial(result("t1", **{"J&F-Mean": 0.5, "F-Decay": 0.1, "probe": 0.6}, **noise), "davis")
    assert kept.scores == {"J&F-Mean": 0.5, "F-Decay": 0.1, "probe": 0.6}
    assert tune._trial(result("t2", mIoU=0.4, **{"J&F-Mean": 0.5}), "vip").scores == {"mIoU": 0.4}


def test_trials_are_ranked_and_one_without_a_score_is_last(settings):
    results = [
        result("low", **{"J&F-Mean": 0.5}),
        result("failed", error=RuntimeError("first\nlost a worker")),
        result("undefined", **{"J&F-Mean": float("nan")}),
        result("high", **{"J&F-Mean": 0.7}),
    ]
    ranked = tune._ranked(settings, [tune._trial(one, "davis") for one in results])
    assert [trial.name for trial in ranked.trials] == ["high", "low", "failed", "undefined"]
    assert ranked.best == "high"
    assert (ranked.trials[2].status, ranked.trials[2].error) == ("error", "lost a worker")
    assert ranked.config_hash == settings.config_hash()


@pytest.fixture
def sweep(monkeypatch, settings):
    """Runs the sweep with given results of Ray Tune."""
    monkeypatch.setattr(tune, "connected", contextlib.nullcontext)
    monkeypatch.setattr(tune, "load_manifest", lambda *_: None)

    def run(*results):
        monkeypatch.setattr(tune, "_tuner", lambda config, url: SimpleNamespace(fit=lambda: results))
        return tune.run_sweep(settings)

    return run


def test_a_sweep_leaves_its_results_and_its_page(sweep, tmp_path, capsys):
    outcome = sweep(result("low", **{"J&F-Mean": 0.5}), result("high", **{"J&F-Mean": 0.7}))
    content = (tmp_path / "one" / "results.json").read_bytes()
    assert Results.from_json(content, "results.json") == outcome
    assert (tmp_path / "one" / "report.html").exists()
    assert "best: high {'model.mask_ratio': 0.5} J&F-Mean 0.7000" in capsys.readouterr().out


def test_a_sweep_without_a_score_ends_with_the_first_error(sweep, tmp_path):
    with pytest.raises(TrainingError, match="no trial of one gave J&F-Mean: no GPU"):
        sweep(result("a", error=RuntimeError("no GPU")), result("b", error=RuntimeError("other")))
    assert json.loads((tmp_path / "one" / "results.json").read_text())["best"] is None
