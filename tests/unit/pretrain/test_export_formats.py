"""Other forms hold the same network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch

from tests.unit.nn.networks.skeletons import without_values
from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.errors import ExportError
from videomac.facts.networks import SIZES
from videomac.pretrain import checkpoint
from videomac.pretrain.export import export
from videomac.storage.copies import upload_folder


def test_a_huggingface_folder_loads_as_local_dir(saved, tmp_path, trained):
    export(config.Export(checkpoint=str(saved), out=str(tmp_path), format="huggingface"))

    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()

    frames = torch.randn(1, 3, 64, 64)
    ours = trained.online.encoder.dense(frames)[-1]
    torch.testing.assert_close(
        model.forward_intermediates(frames, intermediates_only=True)[-1], ours, rtol=1e-4, atol=1e-4
    )


@pytest.fixture(scope="module", params=["convnextv2_atto", "convnext_atto", "resnet18"])
def local(request, tmp_path_factory):
    """A Hugging Face folder of each family, and the dense network that it was made of."""
    place = tmp_path_factory.mktemp("local")
    state = make_state(make_settings(model__encoder={"name": request.param}))
    checkpoint.save(state, place / "saved")
    export(config.Export(checkpoint=str(place / "saved"), out=str(place / "out"), format="huggingface"))
    return f"local-dir:{place / 'out'}", state.online.encoder.eval()


def last_stage(model, frames):
    return model.forward_intermediates(frames, intermediates_only=True)[-1]


@pytest.mark.parametrize("classes", [None, 0, 10])
def test_a_new_head_leaves_the_weights_as_they_are(local, classes):
    folder, encoder = local
    asked = {} if classes is None else {"num_classes": classes}
    model = timm.create_model(folder, pretrained=True, **asked).eval()
    frames = torch.randn(1, 3, 64, 64)
    assert model(frames).shape == (1, classes or encoder.dims[-1])
    torch.testing.assert_close(last_stage(model, frames), encoder.dense(frames)[-1], rtol=1e-4, atol=1e-4)


def test_one_channel_sums_the_weights_of_three(local):
    folder, encoder = local
    grey = torch.randn(1, 1, 64, 64)
    model = timm.create_model(folder, pretrained=True, in_chans=1).eval()
    expected = encoder.dense(grey.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(last_stage(model, grey), expected, rtol=1e-4, atol=1e-4)


def test_features_only_gives_the_stages(local):
    folder, encoder = local
    frames = torch.randn(1, 3, 64, 64)
    model = timm.create_model(folder, pretrained=True, features_only=True).eval()
    for theirs, ours in zip(model(frames)[-4:], encoder.dense(frames), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_the_weights_load_by_their_path(local):
    folder, encoder = local
    weights = f"{folder.removeprefix('local-dir:')}/model.safetensors"
    model = timm.create_model(encoder.name, num_classes=0, checkpoint_path=weights).eval()
    frames = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(last_stage(model, frames), encoder.dense(frames)[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("asked", [{}, {"num_classes": 10}, {"in_chans": 1}, {"features_only": True}])
def test_without_pretrained_the_folder_gives_an_untrained_network(local, asked):
    folder, encoder = local
    torch.manual_seed(123)
    model = timm.create_model(folder, pretrained=False, **asked)
    trained = {tuple(weight.shape): weight for weight in encoder.state_dict().values() if weight.ndim == 4}
    first = next(weight for weight in model.state_dict().values() if weight.ndim == 4)
    assert tuple(first.shape) not in trained or not torch.equal(first, trained[tuple(first.shape)])


def test_the_description_is_what_timm_writes(local, tmp_path):
    folder, _ = local
    model = timm.create_model(folder, pretrained=True)
    timm.models.save_for_hf(model, tmp_path)
    ours, theirs = (json.loads((Path(p) / "config.json").read_text()) for p in (folder[10:], tmp_path))
    assert {key: ours["pretrained_cfg"][key] for key in theirs["pretrained_cfg"]} == theirs["pretrained_cfg"]
    assert {key: ours[key] for key in theirs if key != "pretrained_cfg"} | {"model_args": {}} == {
        key: value for key, value in theirs.items() if key != "pretrained_cfg"
    } | {"model_args": {}}


@pytest.mark.parametrize("name", SIZES)
def test_timm_describes_every_network_that_we_train(name):
    with without_values():
        model = timm.create_model(name, num_classes=10)
    described = timm.models.get_pretrained_cfg(name)
    assert model.get_submodule(described.first_conv).in_channels == 3
    assert model.get_submodule(described.classifier).out_features == 10


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """A checkpoint of a network that timm does not have."""
    folder = tmp_path_factory.mktemp("paper") / "c"
    checkpoint.save(make_state(make_settings(model__encoder={"name": "resnet18", "variant": "paper"})), folder)
    return folder


@pytest.mark.parametrize(
    ("form", "message"), [("huggingface", "timm does not have this"), ("onnx", "only variant standard")]
)
def test_a_paper_network_has_no_other_form(paper, tmp_path, form, message):
    with pytest.raises(ExportError, match=message):
        export(config.Export(checkpoint=str(paper), out=str(tmp_path / "out"), format=form))


@pytest.mark.slow
def test_onnx_holds_the_same_stages_for_any_batch(saved, tmp_path, trained):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    export(config.Export(checkpoint=str(saved), out=str(tmp_path), format="onnx"))

    frames = torch.randn(3, 3, 224, 224)
    stages = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"frames": frames.numpy()})
    for theirs, ours in zip(stages, trained.online.encoder.dense(frames), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["huggingface", pytest.param("onnx", marks=pytest.mark.integration)])
def test_other_forms_reach_a_store_too(saved, memory_store, form):
    upload_folder(saved, "memory://bucket/checkpoint")
    export(config.Export(checkpoint="memory://bucket/checkpoint", out="memory://bucket/out", format=form))
    names = {url.removeprefix("memory://bucket/out/") for url in memory_store.objects}
    assert {"card.json", "model.safetensors", {"huggingface": "config.json", "onnx": "model.onnx"}[form]} <= names
