"""An export is the trained network, under names that others load."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac.errors import CheckpointError, StorageError
from videomac.pretrain import checkpoint
from videomac.pretrain.export import export_checkpoint
from videomac.records.card import Card


def test_an_export_loads_into_timm_strictly_with_equal_dense_features(exported, trained):
    from safetensors.torch import load_file

    out, card = exported
    model = timm.create_model(card.architecture, num_classes=0).eval()
    model.load_state_dict(load_file(out / "model.safetensors"), strict=True)
    frames = torch.randn(1, 3, 64, 96)

    theirs = model.forward_intermediates(frames, intermediates_only=True)

    for a, b in zip(theirs, trained.online.encoder.dense(frames), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert card.checked.largest_relative_difference <= 1e-4
    assert card.strides == (4, 8, 16, 32)
    assert Card.from_json((out / "card.json").read_bytes(), "card.json") == card


def test_a_card_says_where_the_weights_come_from(exported, trained):
    _, card = exported
    assert (card.run, card.step, card.rows_used) == ("test", 0, 0)
    assert (card.variant, card.cell, card.dims) == ("standard", 32, (40, 80, 160, 320))
    assert card.config_hash == trained.settings.config_hash()
    assert card.timm == {"model_name": "convnextv2_atto", "num_classes": 0}
    assert torch.__version__.startswith(card.versions["torch"])


def test_a_paper_network_exports_with_its_card(tmp_path):
    settings = make_settings(model__encoder={"name": "resnet18", "variant": "paper"})
    checkpoint.save(make_state(settings), tmp_path / "c")

    card = export_checkpoint(str(tmp_path / "c"), str(tmp_path / "out"))

    assert card.timm is None
    assert "build_encoder" in card.checked.loaded_by


def test_a_run_on_a_store_is_exported_to_a_store(stored, exported):
    card = export_checkpoint("memory://bucket/run", "memory://bucket/run/export")
    local, expected = exported
    assert stored.objects["memory://bucket/run/export/model.safetensors"] == (local / "model.safetensors").read_bytes()
    assert card == expected


def test_a_store_that_fails_is_not_taken_for_a_missing_checkpoint(stored, tmp_path):
    stored.failures += [OSError("broken")] * 20
    with pytest.raises(StorageError, match="run"):
        export_checkpoint("memory://bucket/run", str(tmp_path / "out"))
    stored.failures.clear()
    stored.objects.pop("memory://bucket/run/checkpoints/step_0000000/files.json")
    with pytest.raises(CheckpointError, match=r"run: no intact checkpoint: .*step_0000009/files\.json"):
        export_checkpoint("memory://bucket/run", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists(), "an export that fails leaves nothing"


@pytest.mark.integration
def test_no_file_of_the_export_needs_another_that_needs_it():
    code = "import sys, videomac.pretrain.export_formats; assert 'videomac.pretrain.export' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_finetuning_example_learns(exported):
    from examples.finetune import SAMPLES, finetune

    losses = finetune(exported[0], SAMPLES / "davis", ["dog"], steps=6)

    assert losses[-1] < losses[0]
