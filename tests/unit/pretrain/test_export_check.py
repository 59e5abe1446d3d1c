"""A broken export is noticed before anything is written."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from videomac.errors import ExportError
from videomac.pretrain import export as export_module
from videomac.pretrain.export import export_checkpoint
from videomac.pretrain.export_check import check_export, dense_stages, relative_difference


def test_an_export_that_differs_is_refused_and_not_written(saved, tmp_path, monkeypatch):
    state_dict = export_module.timm_state_dict

    def spoiled(encoder):
        weights = state_dict(encoder)
        return {**weights, "stem.0.weight": weights["stem.0.weight"].flip(0)}

    monkeypatch.setattr(export_module, "timm_state_dict", spoiled)
    with pytest.raises(ExportError, match=r"convnextv2_atto: exported features differ .* nothing was written"):
        export_checkpoint(str(saved), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nan_weights_are_refused(exported, trained):
    out, card = exported
    weights = safetensors.torch.load_file(out / "model.safetensors")
    content = safetensors.torch.save({name: tensor * float("nan") for name, tensor in weights.items()})
    with pytest.raises(ExportError, match="differ from the trained ones by nan"):
        check_export(trained.online.encoder, content, card)


def test_the_four_stages_of_the_exported_bytes(exported):
    out, card = exported
    stages = dense_stages((out / "model.safetensors").read_bytes(), card, torch.zeros(1, 3, 64, 96))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(40, 16, 24), (80, 8, 12), (160, 4, 6), (320, 2, 3)]


def test_the_difference_is_relative_to_the_largest_value():
    assert relative_difference(torch.tensor([1.0, 8.0]), torch.tensor([2.0, 8.0])) == 0.125
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0
