"""Feature sources by one protocol: grids, padding, stages, exports, refusals."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from videomac import config
from videomac.errors import EvaluationError
from videomac.nn.networks.registry import build_encoder
from videomac.propagation import features

FRAME = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def section(source="random", **keys):
    return config.Features(label="x", source=source, **keys)


def extracted(source, stage=1, **keys):
    extractor = features.load(source, stage, **keys)
    return extractor, next(features.extract(extractor, [FRAME]))


@pytest.mark.parametrize(
    ("model", "stage", "stride", "channels"),
    [
        ("convnextv2_atto", 0, 4, 40),
        ("convnextv2_atto", 1, 8, 80),
        ("convnextv2_atto", -1, 32, 320),
        ("resnet18", 0, 4, 64),
        ("resnet18", 2, 16, 256),
        ("vit_tiny_patch16_224", 3, 16, 192),
        ("vit_tiny_patch16_224", -1, 16, 192),
    ],
)
def test_any_timm_network_at_any_stage(model, stage, stride, channels):
    extractor, x = extracted(section(model=model), stage)
    assert extractor.stride == stride
    assert x.shape == (channels, -(-50 // stride), -(-70 // stride))
    torch.testing.assert_close(x.norm(dim=0), torch.ones(x.shape[1:]))


def test_raw_pixels():
    extractor, colour = extracted(section("raw_colour"))
    assert colour.shape == (3, 7, 9)
    mean = torch.tensor(FRAME[:8, :8].reshape(-1, 3)).double().mean(0) / 255
    expected = (mean - torch.tensor(features.IMAGENET_MEAN)) / torch.tensor(features.IMAGENET_STD)
    torch.testing.assert_close(colour[:, 0, 0].double(), expected / expected.norm(), rtol=1e-5, atol=1e-5)
    assert extracted(section("raw_patch"))[1].shape == (192, 7, 9)
    assert extractor.grid((480, 854)) == (60, 107)


def test_frames_are_padded_by_replication():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    padded = features.pad_to_multiple(x, 8)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, 3:, :4].eq(x[0, 0, 2]).all()
    assert padded[0, 0, :3, 4:].eq(x[0, 0, :, 3:]).all()


def test_random_seeds_differ_and_repeat():
    first, again, other = (extracted(section(model="resnet18"), 0, seed=s)[1] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize(
    ("model", "stage", "reduction"),
    [("resnet18", 2, 2), ("resnet18", 3, 8), ("resnet50d", 2, 2), ("convnext_atto", 1, 2), ("convnext_atto", 3, 8)],
)
def test_a_dilated_network_has_the_strided_ones_values_at_its_sites(model, stage, reduction):
    strided, x = extracted(section(model=model), stage)
    dilated, dense = extracted(section(model=model), stage, stride_reduction=reduction)
    assert dilated.stride == strided.stride // reduction >= 4
    assert dense.shape[1:] == dilated.grid(FRAME.shape[:2])
    torch.testing.assert_close(dense[:, ::reduction, ::reduction], x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "stage", "reduction", "message"),
    [
        ("resnet18", 1, 4, "over 4 that is 2, but features are of stride 4 or more"),
        ("vit_tiny_patch16_224", 3, 2, r"patch_embed.proj .* leaps from stride 1 over 8 to 16"),
        ("tf_efficientnet_b0", 3, 2, "pads by the size of its input"),
        ("resnet50d", 2, 4, "mean over neighbours, which cannot be dilated"),
    ],
)
def test_what_cannot_be_dilated_is_named(model, stage, reduction, message):
    with pytest.raises(EvaluationError, match=message):
        features.load(section(model=model), stage, stride_reduction=reduction)


def test_a_network_of_fixed_size_says_so():
    extractor = features.load(section(model="levit_128s"), 0)
    with pytest.raises(EvaluationError, match="levit_128s takes no frames of 80x64"):
        next(features.extract(extractor, [FRAME]))


def write_export(folder, model):
    folder.mkdir(exist_ok=True)
    content = safetensors.torch.save({k: v.contiguous() for k, v in model.state_dict().items()})
    (folder / "model.safetensors").write_bytes(content)
    card = {
        "architecture": "convnextv2_atto",
        "variant": "standard",
        "timm": {"model_name": "convnextv2_atto", "num_classes": 0},
        "strides": [4, 8, 16, 32],
        "dims": [40, 80, 160, 320],
        "mean": list(features.IMAGENET_MEAN),
        "std": list(features.IMAGENET_STD),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "card.json").write_text(json.dumps(card))


def test_export_gives_the_features_of_its_network(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("convnextv2_atto", num_classes=0).eval()
    write_export(tmp_path / "export", model)
    extractor, x = extracted(section("export", model=str(tmp_path / "export")))
    assert torch.equal(x, extracted(section("random", model="convnextv2_atto"), seed=0)[1])
    assert extractor.facts["weights_sha256"]


def test_a_paper_export_is_run_by_our_dense_class(tmp_path):
    encoder = build_encoder(config.Encoder(name="resnet18", variant="paper")).eval()
    content = safetensors.torch.save(encoder.state_dict())
    (tmp_path / "model.safetensors").write_bytes(content)
    card = {
        "architecture": "resnet18", "variant": "paper", "timm": None, "cell": 32, "strides": [4, 8, 16, 32],
        "encoder": {"name": "resnet18", "variant": "paper", "grn": None}, "mean": [0.5] * 3, "std": [0.5] * 3,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    (tmp_path / "card.json").write_text(json.dumps(card))
    extractor, x = extracted(section("export", model=str(tmp_path)))
    assert (extractor.stride, extractor.facts["variant"]) == (8, "paper")
    padded = features.pad_to_multiple(torch.from_numpy(FRAME).permute(2, 0, 1)[None].float() / 127.5 - 1, 32)
    with torch.inference_mode():
        dense = encoder.dense(padded)[1][0, :, :7, :9]
    torch.testing.assert_close(x, torch.nn.functional.normalize(dense, dim=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(EvaluationError, match="a `paper` network cannot be dilated"):
        features.load(section("export", model=str(tmp_path)), 1, stride_reduction=2)


def test_export_whose_weights_are_not_the_cards(tmp_path):
    write_export(tmp_path / "export", timm.create_model("convnextv2_atto", num_classes=0))
    with (tmp_path / "export/model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(EvaluationError, match=r"SHA-256 .* but the card says .*: export it anew"):
        features.load(section("export", model=str(tmp_path / "export")), 1)


def test_timm_weights_from_a_file(tmp_path):
    model = timm.create_model("resnet18", num_classes=10)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "resnet18.safetensors")
    _, x = extracted(section("timm", model="resnet18", weights=str(tmp_path / "resnet18.safetensors")), 0)
    assert x.shape[0] == 64
    with pytest.raises(EvaluationError, match=r"not the weights of this network|do not load"):
        features.load(section("timm", model="resnet34", weights=str(tmp_path / "resnet18.safetensors")), 0)


def test_dino_replaces_the_first_std_of_imagenet_only():
    extractor = features.load(section("raw_patch"), 0)
    plain, dino = (next(features.extract(extractor, [FRAME], s)) for s in (None, 0.228))
    assert not torch.equal(plain, dino)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "no_such_network"}, "timm cannot make 'no_such_network'"),
        ({"model": None}, "needs model"),
    ],
)
def test_what_cannot_be_built_is_named(keys, message):
    with pytest.raises(EvaluationError, match=message):
        features.load(section("random", **keys), 0)


def test_a_stage_that_is_not_there():
    with pytest.raises(EvaluationError, match=r"stage 7: resnet18 has stages 0: stride 4, .* \(-1: the last\)"):
        features.load(section(model="resnet18"), 7)
