"""Inputs that are not there end each command before Ray starts, in one line that names the key."""

from __future__ import annotations

import pytest
import ray

from ray_jobs import cli
from tests.unit.data.material import index_row, write_index


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "shards").mkdir()
    return write_index(tmp_path / "shards", [[index_row("a", "one.tar")]])


PRETRAIN = ["pretrain", "run.name=a", "train.steps=2", "run.storage=TMP", "data.manifest=MANIFEST"]
TUNE = ["tune", "storage=TMP", "pretrain.data.manifest=MANIFEST"]
QUICKSTART = ["quickstart", "pretrain.run.storage=TMP"]
SPLIT = "no list of the DAVIS split 'vall'"

CASES = [
    (["build-shards", "/nowhere", "TMP/out"], 2, "source: '/nowhere' does not exist"),
    (["evaluate", "resnet18", "--davis", "/nowhere"], 2, "data.root: '/nowhere' does not exist"),
    (["evaluate", "resnet18", "--davis", "samples://dvis"], 2, "data.root: 'samples://dvis' does not exist; samples:"),
    (["evaluate", "resnet18", "--davis", "samples://davis", "data.split=vall"], 2, f"data: {SPLIT}"),
    (["evaluate", "resnet18", "--davis", "samples://davis", "data.clips=[blackswann]"], 2, "data: "),
    ([*PRETRAIN, "probe={evaluate: {data: {root: /nowhere}}}"], 2, "probe.evaluate.data.root: '/nowhere' does not"),
    ([*PRETRAIN, "probe={evaluate: {data: {root: 'samples://davis', split: vall}}}"], 2, f"evaluate.data: {SPLIT}"),
    ([*PRETRAIN, "model.encoder.init=/nowhere.pth"], 2, "model.encoder.init: '/nowhere.pth' does not exist"),
    ([*PRETRAIN, "data.manifest=TMP/none.json"], 1, "none.json: does not exist"),
    ([*TUNE, "evaluate.data.root=/nowhere"], 2, "evaluate.data.root: '/nowhere' does not exist"),
    ([*TUNE, "evaluate.data.split=vall"], 2, f"evaluate.data: {SPLIT}"),
    ([*PRETRAIN, "probe={evaluate: {parallel: 2, data: {root: d}}}"], 2, "probe.evaluate.parallel: nothing reads"),
    ([*TUNE, "pretrain.probe={evaluate: {data: {root: /nowhere}}}"], 2, "probe.evaluate.data.root: '/nowhere'"),
    ([*TUNE, "pretrain.data.manifest=TMP/none.json"], 1, "none.json: does not exist"),
    ([*TUNE, "space.data.manifest=[MANIFEST, TMP/none.json]"], 1, "none.json: does not exist"),
    ([*QUICKSTART, "shards.source=/nowhere"], 2, "shards.source: '/nowhere' does not exist"),
    ([*QUICKSTART, "evaluate.data.root=/nowhere"], 2, "evaluate.data.root: '/nowhere'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "message"), CASES, ids=lambda value: str(value)[-60:])
def test_a_missing_input_ends_the_command_before_ray_starts(words, code, message, tmp_path, manifest, capsys):
    given = [word.replace("TMP", str(tmp_path)).replace("MANIFEST", manifest) for word in words]

    with pytest.raises(SystemExit) as left:
        cli.main(given)

    line = capsys.readouterr().err.strip()
    assert left.value.code == code, line
    assert message in line
    assert line.startswith(f"videomac {words[0]}: ")
    assert "\n" not in line
