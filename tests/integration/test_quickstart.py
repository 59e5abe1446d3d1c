"""The quickstart, smaller: the same functions on the same clips, end to end, and once more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
from safetensors.torch import load_file

from ray_jobs import quickstart

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SMALLER = (
    "pretrain.data.image_size=[64, 64]",
    "pretrain.model.decoder_dim=32",
    "pretrain.train.batch_size=8",
    "pretrain.train.micro_batch=4",
    "pretrain.train.steps=4",
    "pretrain.checkpoint.every_steps=2",
    "shards.short_side=64",
    "evaluate.data.clips=[blackswan]",
    "evaluate.features=[{label: colour, source: raw_colour}]",
)


@pytest.fixture(scope="module")
def run_folder(_ray_session, tmp_path_factory) -> Path:
    storage = tmp_path_factory.mktemp("runs")
    assert quickstart.main([f"pretrain.run.storage={storage}", *SMALLER]) == 0
    return storage / "quickstart"


def test_the_run_folder_holds_every_part(run_folder):
    for part in ("results.json", "metrics.jsonl", "checkpoints", "export", "shards/manifest.json", "report.html"):
        assert (run_folder / part).exists(), part


def test_every_step_is_logged_with_its_three_losses(run_folder):
    last = json.loads((run_folder / "metrics.jsonl").read_text().splitlines()[-1])

    assert last["step"] == 4
    assert last["loss"] == pytest.approx(last["loss_online"] + last["loss_target"] + last["loss_consistency"], rel=1e-5)


def test_the_export_loads_into_timm_strictly(run_folder):
    card = json.loads((run_folder / "export" / "card.json").read_text())
    backbone = timm.create_model(card["architecture"], num_classes=0)

    backbone.load_state_dict(load_file(run_folder / "export" / "model.safetensors"), strict=True)

    assert card["step"] == 4


def test_scores_are_there_for_every_row(run_folder):
    evaluation = json.loads((run_folder / "evaluation" / "results.json").read_text())

    assert [row["label"] for row in evaluation["rows"]] == ["quickstart", "colour"]
    assert all(0 < row["scores"]["J&F-Mean"] < 1 for row in evaluation["rows"])


def test_a_second_run_keeps_shards_and_weights_and_evaluates_anew(run_folder, capfd):
    weights = run_folder / "export" / "model.safetensors"
    metrics, scored = (run_folder / "metrics.jsonl").read_text(), run_folder / "evaluation" / "results.json"
    before, first_report = weights.read_bytes(), scored.stat().st_mtime_ns

    assert quickstart.main([f"pretrain.run.storage={run_folder.parent}", *SMALLER]) == 0

    assert "finished shards and weights are kept" in capfd.readouterr().out
    assert (run_folder / "metrics.jsonl").read_text() == metrics
    assert weights.read_bytes() == before
    assert scored.stat().st_mtime_ns > first_report


def test_another_configuration_is_refused_with_its_keys(run_folder, capfd):
    with pytest.raises(SystemExit) as left:
        quickstart.main([f"pretrain.run.storage={run_folder.parent}", *SMALLER, "pretrain.model.mask_ratio=0.5"])

    shown = capfd.readouterr()
    assert left.value.code == 2
    assert "changed: pretrain.model.mask_ratio: 0.75 -> 0.5" in shown.out
    assert "make demo FRESH=1" in shown.err
