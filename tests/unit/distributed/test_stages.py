"""A run folder belongs to one configuration; its stages are timed and recorded."""

import json
import time

import pytest

from videomac.config import Quickstart, load
from videomac.distributed.stages import QuickstartStages
from videomac.errors import ConfigError


def quickstart(folder, *overrides) -> Quickstart:
    return load(Quickstart, "configs/quickstart.yaml", [f"pretrain.run.storage={folder}", *overrides])


def test_stages_run_in_order_and_leave_their_seconds_in_the_results(tmp_path):
    config = quickstart(tmp_path)
    stages = QuickstartStages(config, count=2)

    outcomes = [stages.run("double", lambda x: 2 * x, 21), stages.run("negate", lambda x: -x, 1)]

    record = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert outcomes == [42, -1]
    assert list(record["stages_s"]) == ["double", "negate"]
    assert record["config_hash"] == config.config_hash()
    assert "torch" in record["versions"]


def test_the_summary_stands_beside_the_stages_run_before_and_after_it(tmp_path):
    stages = QuickstartStages(quickstart(tmp_path), count=2)
    line = {"step": 3, "rows": 96, "loss": 1.5, "pairs_per_s": 20.0}
    (tmp_path / "quickstart" / "metrics.jsonl").write_text(json.dumps(line) + "\n")

    stages.run("pretrain", time.sleep, 0.0)
    stages.summarise()
    stages.run("report", time.sleep, 0.0)

    record = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert list(record["stages_s"]) == ["pretrain", "report"]
    assert record["training"] == {"step": 3, "rows": 96, "loss": 1.5, "pairs_per_s": 20.0}
    assert record["ms_per_pair"] == {"training": 50.0}


def test_the_seconds_of_the_run_that_did_the_work_stay(tmp_path):
    first = QuickstartStages(quickstart(tmp_path), count=1)
    first.run("pretrain", time.sleep, 0.05)
    again = QuickstartStages(quickstart(tmp_path), count=1)
    again.run("pretrain", time.sleep, 0.0)

    record = json.loads((tmp_path / "quickstart" / "results.json").read_text())
    assert record["first_stages_s"] == {"pretrain": first.results.stages_s["pretrain"]}
    assert record["stages_s"] == {"pretrain": again.results.stages_s["pretrain"]}


def test_another_configuration_is_refused_with_the_keys_and_the_command(tmp_path, capsys):
    QuickstartStages(quickstart(tmp_path), count=1)

    with pytest.raises(ConfigError, match=r"pretrain.train.steps: \d+ -> 7.*make demo FRESH=1"):
        QuickstartStages(quickstart(tmp_path, "pretrain.train.steps=7"), count=1)

    assert "changed: pretrain.train.steps" in capsys.readouterr().out


def test_access_options_may_change_and_their_secrets_are_not_kept(tmp_path):
    inline = ["pretrain.data.storage_options={key: AKIAFIRST0000, secret: first/secret/value}"]
    QuickstartStages(quickstart(tmp_path, *inline), count=1)
    kept = (tmp_path / "quickstart" / "quickstart.yaml").read_text()
    QuickstartStages(quickstart(tmp_path, "pretrain.data.storage_options={key_env: A, secret_env: B}"), count=1)

    assert "secret: '***'" in kept
    assert "first/secret/value" not in kept


def test_evaluation_settings_may_change(tmp_path, capsys):
    QuickstartStages(quickstart(tmp_path), count=1)
    QuickstartStages(quickstart(tmp_path, "evaluate.preset=crw"), count=1)

    assert "changed: evaluate.preset: 'crw-240p' -> 'crw'" in capsys.readouterr().out


def test_fresh_moves_the_old_run_aside(tmp_path):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "weights").write_text("old")
    (tmp_path / "quickstart.1").mkdir()

    QuickstartStages(quickstart(tmp_path, "fresh=true", "pretrain.train.steps=7"), count=1)

    assert (tmp_path / "quickstart.2" / "weights").read_text() == "old"
    assert not (tmp_path / "quickstart" / "weights").exists()


def test_a_run_in_an_object_store_is_not_moved_aside(monkeypatch):
    with pytest.raises(
        ConfigError, match=r"fresh: s3://bucket/quickstart is in an object store .* another pretrain.run.name"
    ):
        QuickstartStages(quickstart("s3://bucket", "fresh=true"), count=1)


def test_a_new_start_drops_the_evaluation_and_nothing_else(tmp_path):
    folder = tmp_path / "quickstart"
    for name in ("evaluation/clips/a/0/dog.json", "evaluation/results.json", "export/card.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")

    QuickstartStages(quickstart(tmp_path), count=1)

    assert not [path for path in (folder / "evaluation").rglob("*") if path.is_file()]
    assert (folder / "export" / "card.json").exists()


def test_results_of_version_66eb288_are_taken_over(tmp_path):
    config = quickstart(tmp_path)
    old = {"stages_s": {"pretrain": 0.1}, "first_stages_s": {"pretrain": 119.2}, "machine": "a", "unknown": [1]}
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "results.json").write_text(json.dumps(old))

    stages = QuickstartStages(config, count=1)
    stages.run("pretrain", time.sleep, 0.0)

    assert stages.results.first_stages_s == {"pretrain": 119.2}
