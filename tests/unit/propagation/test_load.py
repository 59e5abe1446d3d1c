"""Loading: untrained networks, exports, files of weights; what decides the features, and refusals."""

from __future__ import annotations

import hashlib
import json

import pytest
import safetensors.torch
import timm
import torch

from tests.unit.propagation.features import FRAME, extracted, section
from videomac import config
from videomac.errors import EvaluationError
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.networks.registry import build_encoder
from videomac.propagation.extractors import pad_to_multiple
from videomac.propagation.load import identify, load_extractor, read_card


def test_random_seeds_differ_and_repeat():
    first, again, other = (extracted(section(model="resnet18"), 0, seed=s)[1] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


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
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "card.json").write_text(json.dumps(card))


def test_export_gives_the_features_of_its_network(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("convnextv2_atto", num_classes=0).eval()
    write_export(tmp_path / "export", model)
    extractor, x = extracted(section("export", model=str(tmp_path / "export")))
    assert torch.equal(x, extracted(section("random", model="convnextv2_atto"), seed=0)[1])
    assert extractor.facts.weights_sha256


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
    assert (extractor.stride, extractor.facts.variant) == (8, "paper")
    padded = pad_to_multiple(torch.from_numpy(FRAME).permute(2, 0, 1)[None].float() / 127.5 - 1, 32)
    with torch.inference_mode():
        dense = encoder.dense(padded)[1][0, :, :7, :9]
    torch.testing.assert_close(x, torch.nn.functional.normalize(dense, dim=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(EvaluationError, match="a `paper` network cannot be dilated"):
        load_extractor(section("export", model=str(tmp_path)), 1, stride_reduction=2)


def test_export_whose_weights_are_not_the_cards(tmp_path):
    write_export(tmp_path / "export", timm.create_model("convnextv2_atto", num_classes=0))
    with (tmp_path / "export/model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(EvaluationError, match=r"SHA-256 is .* but the card says .*: export the checkpoint again"):
        load_extractor(section("export", model=str(tmp_path / "export")), 1)


def test_timm_weights_from_a_file(tmp_path):
    model = timm.create_model("resnet18", num_classes=10)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "resnet18.safetensors")
    _, x = extracted(section("timm", model="resnet18", weights=str(tmp_path / "resnet18.safetensors")), 0)
    assert x.shape[0] == 64
    with pytest.raises(EvaluationError, match=r"not the weights of this network|do not load"):
        load_extractor(section("timm", model="resnet34", weights=str(tmp_path / "resnet18.safetensors")), 0)


def test_what_cannot_be_built_is_named():
    with pytest.raises(EvaluationError, match="timm cannot make 'no_such_network'"):
        load_extractor(section("random", model="no_such_network"), 0)


def test_an_export_is_identified_by_its_weights_not_by_its_folder(tmp_path):
    model = timm.create_model("convnextv2_atto", num_classes=0)
    write_export(tmp_path / "export", model)
    (tmp_path / "export").rename(tmp_path / "moved")
    source = section("export", model=str(tmp_path / "moved"))
    found = identify(source, 2, stride_reduction=2)
    assert found.model == read_card(tmp_path / "moved").weights_sha256
    assert (found.stage, found.stride_reduction, found.seed, found.weights) == (2, 2, None, None)


def test_a_file_of_weights_and_a_seed_are_part_of_the_identity(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    given = identify(section("timm", model="resnet18", weights=str(tmp_path / "weights.bin")), 1)
    assert given.weights == hashlib.sha256(b"weights").hexdigest()
    untrained = [identify(section(model="resnet18"), 1, seed) for seed in (0, 1)]
    assert untrained[0] != untrained[1]
    assert identify(section("raw_patch"), 1) == identify(section("raw_patch"), 3), "raw pixels have no stages"


def test_what_cannot_be_identified_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"card\.json: cannot read an export's card .* videomac export"):
        identify(section("export", model=str(tmp_path)), 1)
    with pytest.raises(EvaluationError, match=r"weights\.pth: weights cannot be read"):
        identify(section("timm", model="resnet18", weights=str(tmp_path / "weights.pth")), 1)


def test_a_card_without_its_hash_is_refused(tmp_path):
    card = {"architecture": "resnet18", "variant": "standard", "mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(EvaluationError, match=r"card\.json: not a Card record: weights_sha256"):
        read_card(tmp_path)


def test_facts_say_what_was_identified_and_what_was_built(tmp_path):
    write_export(tmp_path / "export", timm.create_model("convnextv2_atto", num_classes=0))
    facts = load_extractor(section("export", model=str(tmp_path / "export")), -1, stride_reduction=4).facts
    assert facts.to_plain() == {
        "source": "export", "stride_reduction": 4, "architecture": "convnextv2_atto", "variant": "standard",
        "stage": 3, "stride": 8, "weights_sha256": read_card(tmp_path / "export").weights_sha256,
    }  # fmt: skip
    assert load_extractor(section(model="resnet18"), 0, seed=2).facts.seed == 2
