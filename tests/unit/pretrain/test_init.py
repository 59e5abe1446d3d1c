"""Weights to start from: whatever is loaded is the same network."""

from __future__ import annotations

import argparse

import pytest
import timm
import torch

from tests.unit.pretrain.conftest import make_settings
from videomac.errors import CheckpointError
from videomac.pretrain.init import load_initial_weights
from videomac.pretrain.model import build_model
from videomac.storage.copies import upload_folder


def fresh():
    return build_model(make_settings().model, seed=9)


def same_encoder(model, trained) -> bool:
    ours, theirs = model.encoder.state_dict(), trained.online.encoder.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_training_starts_from_a_checkpoint_an_export_or_a_timm_file(saved, exported, trained, tmp_path):
    timm_file = tmp_path / "weights.pth"
    timm_model = timm.create_model("convnextv2_atto")
    timm_model.load_state_dict(
        {**timm_model.state_dict(), **trained.online.encoder.state_dict()}  # with its classifier, as timm saves it
    )
    torch.save({"state_dict": timm_model.state_dict(), "args": argparse.Namespace(lr=1.0)}, timm_file)

    run = saved.parent.parent
    urls = [f"file://{source}" for source in (saved, run, exported[0], timm_file)]
    for source in (saved, run, exported[0], exported[0] / "model.safetensors", timm_file, *urls):
        model = fresh()
        load_initial_weights(model, str(source))
        assert same_encoder(model, trained), source
    model = fresh()
    load_initial_weights(model, str(saved))
    assert torch.equal(model.decoder.pred.weight, trained.online.decoder.pred.weight)


def test_weights_of_another_network_are_refused_by_name(exported):
    model = build_model(make_settings(model__encoder={"name": "convnextv2_femto"}).model, seed=0)

    with pytest.raises(CheckpointError, match=r"do not match this model: \d+ tensors differ, .*model.encoder.name"):
        load_initial_weights(model, str(exported[0]))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("unpickled!",)

    torch.save({"model": Trap()}, tmp_path / "trap.pth")

    with pytest.raises(CheckpointError, match="weights_only=True"):
        load_initial_weights(fresh(), str(tmp_path / "trap.pth"))


def test_a_missing_file_says_what_is_expected():
    with pytest.raises(CheckpointError, match=r"expected a \.safetensors or \.pth file"):
        load_initial_weights(fresh(), "nowhere/at/all.bin")


@pytest.mark.parametrize(
    "source", ["run", "run/export", "run/export/model.safetensors", "run/checkpoints/step_0000000"]
)
def test_training_starts_from_weights_on_a_store(stored, exported, trained, source):
    upload_folder(exported[0], "memory://bucket/run/export")
    model = fresh()
    load_initial_weights(model, f"memory://bucket/{source}")
    assert same_encoder(model, trained)
