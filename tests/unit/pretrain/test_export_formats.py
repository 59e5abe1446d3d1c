"""Other forms hold the same network."""

from __future__ import annotations

import pytest
import timm
import torch

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.errors import ExportError
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


@pytest.mark.parametrize(
    ("form", "message"), [("huggingface", "timm does not have this"), ("onnx", "only variant standard")]
)
def test_a_paper_network_has_no_other_form(tmp_path, form, message):
    settings = make_settings(model__encoder={"name": "resnet18", "variant": "paper"})
    checkpoint.save(make_state(settings), tmp_path / "c")
    with pytest.raises(ExportError, match=message):
        export(config.Export(checkpoint=str(tmp_path / "c"), out=str(tmp_path / "out"), format=form))


@pytest.mark.slow
def test_onnx_holds_the_same_stages_for_any_batch(saved, tmp_path, trained):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    export(config.Export(checkpoint=str(saved), out=str(tmp_path), format="onnx"))

    frames = torch.randn(3, 3, 224, 224)
    stages = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"frames": frames.numpy()})
    for theirs, ours in zip(stages, trained.online.encoder.dense(frames), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["huggingface", "onnx"])
def test_other_forms_reach_a_store_too(saved, memory_store, form):
    upload_folder(saved, "memory://bucket/checkpoint")
    export(config.Export(checkpoint="memory://bucket/checkpoint", out="memory://bucket/out", format=form))
    names = {url.removeprefix("memory://bucket/out/") for url in memory_store.objects}
    assert {"card.json", "model.safetensors", {"huggingface": "config.json", "onnx": "model.onnx"}[form]} <= names
