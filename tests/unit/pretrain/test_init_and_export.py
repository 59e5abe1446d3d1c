"""Weights in and out: whatever is loaded or exported is the same network."""

from __future__ import annotations

import argparse
import json

import pytest
import timm
import torch

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.errors import CheckpointError, ExportError, StorageError
from videomac.pretrain import checkpoint
from videomac.pretrain.export import export, export_checkpoint
from videomac.pretrain.init import load_initial_weights
from videomac.pretrain.model import build_model
from videomac.storage.copies import upload_folder


@pytest.fixture(scope="module")
def state():
    return make_state(make_settings(run__seed=3))


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step_0000000"
    checkpoint.save(state, folder)
    return folder


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    return out, export_checkpoint(str(saved), str(out))


def test_an_export_loads_into_timm_strictly_with_equal_dense_features(exported, state):
    from safetensors.torch import load_file

    out, card = exported
    model = timm.create_model(card["architecture"], num_classes=0).eval()
    model.load_state_dict(load_file(out / "model.safetensors"), strict=True)
    frames = torch.randn(1, 3, 64, 96)

    theirs = model.forward_intermediates(frames, intermediates_only=True)

    for a, b in zip(theirs, state.online.encoder.dense(frames), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert card["checked"]["largest_relative_difference"] <= 1e-4
    assert card["strides"] == [4, 8, 16, 32]
    assert json.loads((out / "card.json").read_text()) == card


def test_a_run_folder_exports_its_last_whole_checkpoint(saved, tmp_path):
    (saved.parent / "step_0000009").mkdir(exist_ok=True)  # what a killed upload leaves

    card = export_checkpoint(str(saved.parent.parent), str(tmp_path / "out"))

    assert card["step"] == 0


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="neither a checkpoint folder nor a run"):
        export_checkpoint(str(tmp_path), str(tmp_path / "out"))


def test_a_huggingface_folder_loads_as_local_dir(saved, tmp_path, state):
    export(config.Export(checkpoint=str(saved), out=str(tmp_path), format="huggingface"))

    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()

    frames = torch.randn(1, 3, 64, 64)
    ours = state.online.encoder.dense(frames)[-1]
    torch.testing.assert_close(
        model.forward_intermediates(frames, intermediates_only=True)[-1], ours, rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_onnx_holds_the_same_stages_for_any_batch(saved, tmp_path, state):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    export(config.Export(checkpoint=str(saved), out=str(tmp_path), format="onnx"))

    frames = torch.randn(3, 3, 224, 224)
    stages = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"frames": frames.numpy()})
    for theirs, ours in zip(stages, state.online.encoder.dense(frames), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


def test_a_paper_network_exports_with_card_but_not_for_timm(tmp_path):
    settings = make_settings(model__encoder={"name": "resnet18", "variant": "paper"})
    checkpoint.save(make_state(settings), tmp_path / "c")

    card = export_checkpoint(str(tmp_path / "c"), str(tmp_path / "out"))

    assert card["timm"] is None
    assert "build_encoder" in card["checked"]["loaded_by"]
    with pytest.raises(ExportError, match="no timm network"):
        export(config.Export(checkpoint=str(tmp_path / "c"), out=str(tmp_path / "hf"), format="huggingface"))


def fresh():
    return build_model(make_settings().model, seed=9)


def same_encoder(model, state) -> bool:
    ours, theirs = model.encoder.state_dict(), state.online.encoder.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_training_starts_from_a_checkpoint_an_export_or_a_timm_file(saved, exported, state, tmp_path):
    timm_file = tmp_path / "weights.pth"
    timm_model = timm.create_model("convnextv2_atto")
    timm_model.load_state_dict(
        {**timm_model.state_dict(), **state.online.encoder.state_dict()}  # with its classifier, as timm saves it
    )
    torch.save({"state_dict": timm_model.state_dict(), "args": argparse.Namespace(lr=1.0)}, timm_file)

    run = saved.parent.parent
    urls = [f"file://{source}" for source in (saved, run, exported[0], timm_file)]
    for source in (saved, run, exported[0], exported[0] / "model.safetensors", timm_file, *urls):
        model = fresh()
        load_initial_weights(model, str(source))
        assert same_encoder(model, state), source
    model = fresh()
    load_initial_weights(model, str(saved))
    assert torch.equal(model.decoder.pred.weight, state.online.decoder.pred.weight)


def test_weights_of_another_network_are_refused_by_name(exported):
    model = build_model(make_settings(model__encoder={"name": "convnextv2_femto"}).model, seed=0)

    with pytest.raises(
        CheckpointError, match=r"do not match this model: \d+ tensors differ, .*check model.encoder.name"
    ):
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


@pytest.mark.slow
def test_the_finetuning_example_learns(exported):
    from examples.finetune import SAMPLES, finetune

    losses = finetune(exported[0], SAMPLES / "davis", ["dog"], steps=6)

    assert losses[-1] < losses[0]


@pytest.fixture
def stored(saved, memory_store):
    """The run in an object store, with a later checkpoint that is damaged and one that is half there."""
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000000")
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000005")
    upload_folder(saved, "memory://bucket/run/checkpoints/step_0000009")
    damaged = "memory://bucket/run/checkpoints/step_0000005/online.safetensors"
    memory_store.objects[damaged] = memory_store.objects[damaged][:-1] + b"!"
    del memory_store.objects["memory://bucket/run/checkpoints/step_0000009/files.json"]
    return memory_store


def test_a_run_on_a_store_is_exported_to_a_store(stored, exported, state):
    card = export_checkpoint("memory://bucket/run", "memory://bucket/run/export")
    local, expected = exported
    assert stored.objects["memory://bucket/run/export/model.safetensors"] == (local / "model.safetensors").read_bytes()
    assert card == expected
    for source in ("run", "run/export", "run/export/model.safetensors", "run/checkpoints/step_0000000"):
        model = fresh()
        load_initial_weights(model, f"memory://bucket/{source}")
        assert same_encoder(model, state), source


def test_a_store_that_fails_is_not_taken_for_a_missing_checkpoint(stored, tmp_path):
    stored.failures += [OSError("broken")] * 20
    with pytest.raises(StorageError, match="run"):
        export_checkpoint("memory://bucket/run", str(tmp_path / "out"))
    stored.failures.clear()
    stored.objects.pop("memory://bucket/run/checkpoints/step_0000000/files.json")
    with pytest.raises(CheckpointError, match=r"run: nothing to export: .*step_0000009/files\.json"):
        export_checkpoint("memory://bucket/run", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists(), "an export that fails leaves nothing"


@pytest.mark.parametrize("form", ["huggingface", "onnx"])
def test_other_forms_reach_a_store_too(saved, memory_store, form):
    upload_folder(saved, "memory://bucket/checkpoint")
    export(config.Export(checkpoint="memory://bucket/checkpoint", out="memory://bucket/out", format=form))
    names = {url.removeprefix("memory://bucket/out/") for url in memory_store.objects}
    assert {"card.json", "model.safetensors", {"huggingface": "config.json", "onnx": "model.onnx"}[form]} <= names
