"""A run folder belongs to one configuration; stages are timed and recorded."""

import json
import time

import pytest

from videomac.config import Quickstart, load
from videomac.distributed.stages import Stages
from videomac.errors import ConfigError


def quickstart(folder, *overrides) -> Quickstart:
    return load(Quickstart, "configs/quickstart.yaml", [f"pretrain.run.storage={folder}", *overrides])


def test_stages_run_in_order_and_leave_their_seconds_in_the_results(tmp_path):
    config = quickstart(tmp_path)
    stages = Stages(config, count=2)

    outcomes = [stages.run("double", lambda x: 2 * x, 21), stages.run("negate", lambda x: -x, 1)]
    stages.finish(answer=outcomes[0])

    record = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert outcomes == [42, -1]
    assert list(record["stages_s"]) == ["double", "negate"]
    assert record["answer"] == 42
    assert record["config_hash"] == config.config_hash()


def test_the_seconds_of_the_run_that_did_the_work_stay(tmp_path):
    first = Stages(quickstart(tmp_path), count=1)
    first.run("pretrain", time.sleep, 0.05)
    again = Stages(quickstart(tmp_path), count=1)
    again.run("pretrain", time.sleep, 0.0)
    again.finish()

    record = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert record["first_stages_s"] == {"pretrain": first.seconds["pretrain"]}
    assert record["stages_s"] == {"pretrain": again.seconds["pretrain"]}


def test_another_configuration_is_refused_with_the_keys_and_the_command(tmp_path, capsys):
    Stages(quickstart(tmp_path), count=1)

    with pytest.raises(ConfigError, match=r"pretrain.train.steps: \d+ -> 7.*make demo FRESH=1"):
        Stages(quickstart(tmp_path, "pretrain.train.steps=7"), count=1)

    assert "changed: pretrain.train.steps" in capsys.readouterr().out


def test_evaluation_settings_may_change(tmp_path, capsys):
    Stages(quickstart(tmp_path), count=1)
    Stages(quickstart(tmp_path, "evaluate.preset=crw"), count=1)

    assert "changed: evaluate.preset: 'crw-240p' -> 'crw'" in capsys.readouterr().out


def test_fresh_moves_the_old_run_aside(tmp_path):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "weights").write_text("old")
    (tmp_path / "quickstart.1").mkdir()

    Stages(quickstart(tmp_path, "fresh=true", "pretrain.train.steps=7"), count=1)

    assert (tmp_path / "quickstart.2" / "weights").read_text() == "old"
    assert not (tmp_path / "quickstart" / "weights").exists()


def test_discard_removes_one_stage(tmp_path):
    stages = Stages(quickstart(tmp_path), count=1)
    (stages.folder / "evaluation").mkdir()

    stages.discard("evaluation")
    stages.discard("never_there")

    assert not (stages.folder / "evaluation").exists()
