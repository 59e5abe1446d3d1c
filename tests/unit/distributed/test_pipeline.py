"""One pipeline for all that train: what runs, in which order, and what a finished run keeps."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from videomac import config
from videomac.distributed import pipeline
from videomac.distributed.pipeline import run_pipeline, run_quickstart


@pytest.fixture
def done(monkeypatch, tmp_path):
    """Stand-ins for all stages; the names of those that ran, in order."""
    ran = []
    folder = tmp_path / "quickstart"
    run = SimpleNamespace(folder=str(folder), checkpoint="last", was_finished=False)

    def stage(name, outcome):
        return lambda *given: ran.append(name) or outcome

    monkeypatch.setattr(pipeline, "connected", contextlib.nullcontext)
    monkeypatch.setattr(pipeline, "pretrain", stage("pretrain", run))
    monkeypatch.setattr(pipeline, "export", stage("export", None))
    monkeypatch.setattr(pipeline, "evaluate", stage("evaluate", SimpleNamespace(scores_or_nan={"J&F-Mean": 0.5})))
    monkeypatch.setattr(pipeline, "hero_picture", stage("hero", "hero.png"))
    write = pipeline.write_run_report
    monkeypatch.setattr(pipeline, "write_run_report", lambda place: ran.append("report") or write(place))
    return SimpleNamespace(ran=ran, run=run, folder=folder)


@pytest.fixture
def quickstart(tmp_path):
    return config.load(config.Quickstart, "configs/quickstart.yaml", [f"pretrain.run.storage={tmp_path}"])


def test_a_quickstart_runs_every_stage_in_order_and_draws_its_picture(done, quickstart, capsys):
    outcome = run_quickstart(quickstart, lambda shards: done.ran.append("shards"))
    assert done.ran == ["shards", "pretrain", "export", "evaluate", "hero", "report"]
    assert outcome.scores == {"J&F-Mean": 0.5}
    shown = capsys.readouterr().out
    for line in ("[1/5] shards ...", "[5/5] report: ", "picture: hero.png", f"report: {done.folder}/report.html"):
        assert line in shown


def test_a_training_without_evaluation_is_exported_and_reported(done, quickstart):
    done.folder.mkdir()
    assert run_pipeline(quickstart.pretrain, report=pipeline.write_run_report).scores == {}
    assert done.ran == ["pretrain", "export", "report"]


def test_a_finished_run_is_left_as_it_is_only_when_everything_is_there(done, quickstart):
    done.run.was_finished = True
    (done.folder / "export").mkdir(parents=True)
    (done.folder / "export" / "card.json").write_text("{}")
    run_pipeline(quickstart.pretrain, report=pipeline.write_run_report)
    assert done.ran == ["pretrain", "export", "report"]
    done.ran.clear()
    run_pipeline(quickstart.pretrain, report=pipeline.write_run_report)
    assert done.ran == ["pretrain"]
