"""What `model`, `features` and `baselines` name, found; names that are unknown or taken twice are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import timm

from tests.unit.evaluation.material import settings
from videomac.errors import DamagedFileError, EvaluationError, ExportError
from videomac.evaluation import candidates
from videomac.evaluation.candidates import export_candidate, find_candidates, slug_of
from videomac.storage.checksums import sha256_of
from videomac.storage.copies import write_file


@pytest.fixture
def export(tmp_path, fixtures):
    folder = tmp_path / "runs/mine/export"
    folder.mkdir(parents=True)
    (folder / "card.json").write_bytes((fixtures / "evaluation_66eb288/card_standard.json").read_bytes())
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def found(tmp_path, **keys):
    return find_candidates(settings(tmp_path, tmp_path / "out", **{"features": [], **keys}))


def test_model_comes_first_then_features_then_baselines(tmp_path):
    features = [{"label": "colour", "source": "raw_colour"}, {"label": "early", "source": "raw_patch", "stage": 0}]
    rows = found(tmp_path, model="resnet18", features=features, baselines=["resnet34"], stage=2, stride_reduction=2)
    assert [row.label for row in rows] == ["resnet18", "colour", "early", "resnet34"]
    assert [row.stage for row in rows] == [2, 2, 0, 2]
    assert [row.is_baseline for row in rows] == [False, False, False, True]
    assert {row.stride_reduction for row in rows} == {2}


@pytest.mark.parametrize(
    ("name", "label", "model", "weights"),
    [
        ("resnet18", "resnet18", "resnet18", None),
        ("resnet18.a1_in1k", "resnet18.a1_in1k", "resnet18.a1_in1k", None),
        ("resnet18@/files/mine.pth", "resnet18 (mine.pth)", "resnet18", "/files/mine.pth"),
        (
            "/files/resnet18_mine.safetensors",
            "resnet18_mine.safetensors",
            "resnet18",
            "/files/resnet18_mine.safetensors",
        ),
        ("hf-hub:timm/resnet18", "hf-hub:timm/resnet18", "hf-hub:timm/resnet18", None),
    ],
)
def test_names_of_timm_networks(tmp_path, name, label, model, weights):
    (row,) = found(tmp_path, model=name)
    assert (row.label, row.source.source, row.source.model, row.source.weights) == (label, "timm", model, weights)


def test_an_export_is_named_after_its_run(tmp_path, export):
    for name in (str(export), f"{export}/model.safetensors"):
        (row,) = found(tmp_path, model=name)
        assert (row.label, row.source.source, row.source.model) == ("mine", "export", str(export))
    assert export_candidate(str(export), 1, 1).source == row.source
    assert row.files() == {name: (export / name).read_bytes() for name in ("card.json", "model.safetensors")}
    assert row.reading_from("/elsewhere").source.model == "/elsewhere"


def test_a_checkpoint_is_exported_first(tmp_path, export, monkeypatch):
    checkpoint = tmp_path / "runs/mine/checkpoints/step_0000100"
    checkpoint.mkdir(parents=True)
    asked = []

    def export_into(source, folder):
        asked.append((source, folder))
        (tmp_path / "out/exports").mkdir(parents=True)
        export.rename(folder)

    monkeypatch.setattr(candidates, "export_checkpoint", export_into)
    (row,) = found(tmp_path, model=str(checkpoint))
    ((source, folder),) = asked
    assert source == str(checkpoint)
    assert folder.startswith(f"{tmp_path}/out/exports/")
    assert (row.label, row.source.model) == ("mine/step_0000100", folder)


def test_a_folder_that_cannot_be_exported_says_why(tmp_path, monkeypatch):
    def refuse(source, folder):
        raise ExportError("the reason")

    monkeypatch.setattr(candidates, "export_checkpoint", refuse)
    with pytest.raises(
        EvaluationError, match=r"not an export \(no card.json\), and none could be made of it: the reason"
    ):
        found(tmp_path, model=str(tmp_path))


def test_seeds_belong_to_untrained_networks(tmp_path):
    features = [
        {"label": "untrained", "source": "random", "model": "resnet18", "seeds": [3, 4]},
        {"label": "colour", "source": "raw_colour", "seeds": [3, 4]},
    ]
    untrained, colour = found(tmp_path, features=features)
    assert (untrained.seeds, colour.seeds) == ((3, 4), (0,))
    assert untrained.identity(3) != untrained.identity(4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"nothing to evaluate: give model=EXPORT"),
        ({"model": "no/such/thing"}, r"neither a timm name nor a folder; expected an export"),
        ({"model": "strange.pth"}, r"strange\.pth: its name does not start with a timm name; write NAME@strange\.pth"),
        (
            {"model": "resnet18", "baselines": ["resnet18"]},
            r"two candidates are labelled 'resnet18'; give each its own",
        ),
    ],
)
def test_what_cannot_be_found_is_named(tmp_path, keys, message):
    with pytest.raises(EvaluationError, match=message):
        found(tmp_path, **keys)


def test_labels_that_would_share_a_folder_are_refused(tmp_path):
    features = [{"label": label, "source": "raw_colour"} for label in ("mean colour", "mean-colour")]
    with pytest.raises(EvaluationError, match=r"labelled 'mean colour' and 'mean-colour' \(one folder name\)"):
        found(tmp_path, features=features)


def test_a_label_becomes_a_file_name():
    assert slug_of("mean colour (8 px)/x") == "mean-colour-8-px-x"
    assert slug_of("...") == ""


def test_weights_of_a_file_are_loaded(tmp_path):
    safetensors.torch.save_file(timm.create_model("resnet18").state_dict(), tmp_path / "resnet18.safetensors")
    (row,) = found(tmp_path, model=str(tmp_path / "resnet18.safetensors"), stage=0)
    extractor = row.load(0, "cpu")
    assert extractor.facts.weights_sha256 == row.identity(0).weights
    assert json.loads(row.identity(0).to_json())["stage"] == 0


def test_an_export_on_a_store_is_copied_and_checked(tmp_path, export, memory_store):
    url = "memory://bucket/mine/export"
    card = json.loads((export / "card.json").read_bytes())
    write_file(f"{url}/model.safetensors", b"weights")
    write_file(f"{url}/card.json", json.dumps({**card, "weights_sha256": sha256_of(b"weights")}).encode())
    (row,) = found(tmp_path, model=url)
    assert row.label == "mine"
    assert (Path(str(row.source.model)) / "model.safetensors").read_bytes() == b"weights"
    memory_store.objects[f"{url}/model.safetensors"] = b"changed"
    with pytest.raises(DamagedFileError, match=r"mine/export/model\.safetensors"):
        found(tmp_path, model=url)
    memory_store.objects[f"{url}/card.json"] = b"{}"
    with pytest.raises(EvaluationError, match=r"mine/export/card\.json"):
        found(tmp_path, model=url)
    with pytest.raises(EvaluationError, match="neither a timm name nor a folder"):
        found(tmp_path, model="memory://bucket/nothing")
