"""Evaluation on a local cluster: candidates, baselines, a failing clip, resuming, pictures and page, the probe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.evaluation.material import settings, write_davis
from videomac import config
from videomac.distributed.evaluate.run import evaluate
from videomac.distributed.train.launch import pretrain
from videomac.errors import EvaluationError
from videomac.evaluation.probe import probe
from videomac.pretrain.export import export_checkpoint
from videomac.report.run import write_run_report

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def small_davis(sample_davis, tmp_path):
    """Six frames of both shipped sequences at 120 x 68."""
    return write_davis(tmp_path / "davis", sample_davis)


def test_table_pictures_page_and_finished_clips_that_are_kept(ray_cluster, small_davis, tmp_path, capsys):
    out = tmp_path / "out"
    first = evaluate(settings(small_davis, out))
    assert json.loads((out / "results.json").read_text()) == first.to_plain()
    assert [row.label for row in first.rows] == ["colour", "patches"]
    assert set(first.rows[0].clips) == {"dog", "blackswan"}
    for row in first.rows:
        assert (row.preset, row.preset_hash, row.dataset_hash) == ("crw", first.preset_hash, first.dataset_hash)
    assert [(row.source, row.stage) for row in first.rows] == [("raw_colour", None), ("raw_patch", None)]
    assert not first.partial
    assert np.array(Image.open(out / "predictions/colour/0/dog/00003.png")).shape == (68, 120)
    drawn = np.load(out / "pictures/dog.npz")
    assert drawn["prediction_1"].shape == drawn["truth"].shape == drawn["frames"].shape[:3]
    for suffix in (".jpg", ".mp4", ".pca.jpg"):
        assert (out / f"pictures/dog{suffix}").stat().st_size > 500
    page = (out / "report.html").read_text()
    assert "VideoMAC ConvNeXtV2-S (published)" in page
    assert "its evaluation code is not public" in page

    finished = out / "clips/colour/0/dog.json"
    before = finished.stat().st_mtime_ns
    (out / "clips/patches/0/dog.json").unlink()
    again = evaluate(settings(small_davis, out, pictures=False))
    assert finished.stat().st_mtime_ns == before, "a finished clip was scored again"
    assert again.rows[1].scores == first.rows[1].scores
    other = evaluate(settings(small_davis, out, pictures=False, settings={"topk": 3}))
    assert finished.stat().st_mtime_ns > before, "another protocol must not take over old scores"
    assert other.preset == "crw*"


def test_one_failing_clip_does_not_stop_the_others(ray_cluster, small_davis, tmp_path, capsys):
    (small_davis / "JPEGImages/480p/dog/00002.jpg").write_bytes(b"no image")
    outcome = evaluate(settings(small_davis, tmp_path / "out", pictures=False))
    assert outcome.partial
    assert {failure.clip for failure in outcome.failures} == {"dog"}
    assert "00002.jpg: cannot be used" in outcome.failures[0].error
    assert set(outcome.rows[0].clips) == {"blackswan"}
    assert "PARTIAL" in capsys.readouterr().out


def test_nothing_scored_is_an_error(ray_cluster, small_davis, tmp_path):
    shutil.rmtree(small_davis / "Annotations")
    expected = r"no clip can be scored: .*/Annotations/480p/dog: folder of annotations not found"
    with pytest.raises(EvaluationError, match=expected):
        evaluate(settings(small_davis, tmp_path / "out"))


def test_the_command_ends_with_one_line_and_an_exit_code(small_davis, tmp_path, capsys):
    from ray_jobs.evaluate import main

    with pytest.raises(SystemExit) as stopped:
        main([f"data.root={tmp_path / 'nowhere'}", "model=resnet18", f"out={tmp_path / 'out'}"])
    assert stopped.value.code == 2
    assert f"data.root: '{tmp_path / 'nowhere'}' does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_a_probe_during_training_is_logged_and_picks_the_best(ray_cluster, sample_shards, small_davis, tmp_path):
    """Scores come late: of five checkpoints two are kept, and the best one."""
    tree = {
        "run": {"name": "probed", "storage": str(tmp_path)},
        "data": {"manifest": f"{sample_shards}/manifest.json", "image_size": [64, 64], "cpus_per_actor": 0.25},
        "model": {"encoder": {"name": "convnextv2_atto"}, "mask_ratio": 0.5, "decoder_dim": 16},
        "train": {"batch_size": 8, "micro_batch": 4, "steps": 15},
        "workers": {"count": 2, "cpus": 0.5, "threads": 1},
        "checkpoint": {"every_steps": 3, "keep": 2},
        "log": {"every_steps": 1, "writers": ["tensorboard"]},
        "probe": {"max_share": 1.0, "evaluate": {"preset": "crw-240p", "data": {"root": str(small_davis)}}},
    }
    result = pretrain(config.validate(config.Pretrain, tree, "test"))
    folder = tmp_path / "probed"

    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = {line["probe/step"]: line["probe/J&F-Mean"] for line in lines if "probe/step" in line}
    assert logged.keys() == {3, 6, 9, 12, 15}
    assert result.metrics["probe/J&F-Mean"] == logged[15], "Ray Train knows the score of its last checkpoint, too"
    best = json.loads((folder / "best/best.json").read_text())
    scores = {path.stem: json.loads(path.read_text())["scores"]["J&F-Mean"] for path in (folder / "probes").iterdir()}
    assert list(logged.values()) == [scores[f"step_{int(step):07d}"] for step in logged]
    assert best == {"name": max(sorted(scores), key=scores.__getitem__), "score": max(scores.values())}
    assert (folder / "best" / best["name"] / "files.json").is_file()
    card = export_checkpoint(f"{folder}/best", str(tmp_path / "export"))
    assert f"step_{card.step:07d}" == best["name"]
    page = Path(write_run_report(str(folder))).read_text()
    assert "probe/J&amp;F-Mean by step" in page or "probe/J&F-Mean by step" in page


def test_baselines_and_an_export_and_the_probe(ray_cluster, small_davis, tmp_path):
    import safetensors.torch
    import timm

    export = tmp_path / "export"
    export.mkdir()
    content = safetensors.torch.save(timm.create_model("convnextv2_atto", num_classes=0).state_dict())
    (export / "model.safetensors").write_bytes(content)
    card = {
        "architecture": "convnextv2_atto", "variant": "standard", "strides": [4, 8, 16, 32], "dims": [40, 80, 160, 320],
        "timm": {"model_name": "convnextv2_atto"}, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        "weights_sha256": __import__("hashlib").sha256(content).hexdigest(),
    }  # fmt: skip
    (export / "card.json").write_text(json.dumps(card))
    weights = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(timm.create_model("resnet18").state_dict(), weights)
    asked = settings(
        small_davis, tmp_path / "out", model=str(export), features=[], baselines=[str(weights)], pictures=False
    )
    outcome = evaluate(asked)
    (baseline,) = outcome.baselines
    assert baseline.against == "resnet18.safetensors"
    assert baseline.low <= baseline.mean <= baseline.high
    ours, theirs = (row.clips["dog"]["J&F-Mean"] for row in outcome.rows)
    assert baseline.per_clip["dog"] == pytest.approx(ours - theirs)
    assert probe(str(export), asked) == outcome.scores
