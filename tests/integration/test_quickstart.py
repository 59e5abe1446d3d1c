"""A small quickstart, end to end, on the shipped clips; then the same command again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from safetensors.torch import load_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
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


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run `videomac quickstart` as a user does: in a process of its own, in any folder, with relative paths."""
    return subprocess.run(
        [sys.executable, "-m", "ray_jobs.quickstart", *SMALLER, *overrides],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=230, check=False, capture_output=True, text=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "quickstart"


def test_the_run_folder_holds_every_part(run_folder):
    for part in (
        "results.json", "metrics.jsonl", "checkpoints", "export", "shards/manifest.json", "report.html", "hero.png"
    ):  # fmt: skip
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


def test_every_row_of_the_table_has_scores(run_folder):
    evaluation = json.loads((run_folder / "evaluation" / "results.json").read_text())

    assert [row["label"] for row in evaluation["rows"]] == ["quickstart", "colour"]
    assert all(0 < row["scores"]["J&F-Mean"] < 1 for row in evaluation["rows"])


def test_a_second_run_keeps_shards_and_weights_and_evaluates_again(run_folder):
    weights = run_folder / "export" / "model.safetensors"
    metrics, scored = (run_folder / "metrics.jsonl").read_text(), run_folder / "evaluation" / "results.json"
    before, first_scored = weights.read_bytes(), scored.stat().st_mtime_ns

    again = run(run_folder.parent.parent)

    assert again.returncode == 0, again.stderr
    assert "finished shards and weights are kept" in again.stdout
    assert (run_folder / "metrics.jsonl").read_text() == metrics
    assert weights.read_bytes() == before
    assert scored.stat().st_mtime_ns > first_scored


def test_a_different_configuration_is_refused_and_its_keys_are_named(run_folder):
    refused = run(run_folder.parent.parent, "pretrain.model.mask_ratio=0.5")

    assert refused.returncode == 2
    assert "changed: pretrain.model.mask_ratio: 0.75 -> 0.5" in refused.stdout
    assert "make demo FRESH=1" in refused.stderr
