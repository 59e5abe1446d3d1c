"""An evaluation, prepared without a cluster: jobs and their keys, clips that cannot be read."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.unit.evaluation.material import RAW, prepared, settings, write_davis
from videomac import config
from videomac.errors import ConfigError, EvaluationError
from videomac.evaluation import candidates
from videomac.evaluation.setup import prepare
from videomac.propagation import tasks
from videomac.propagation.frames import Frames

UNTRAINED = {"label": "untrained", "source": "random", "model": "resnet18", "seeds": [0, 1]}


def test_jobs_are_all_of_one_clip_in_a_row_and_long_clips_first(sample_davis, tmp_path):
    root = write_davis(tmp_path / "davis", sample_davis, {"dog": 4, "blackswan": 6})
    jobs = list(prepared(root, tmp_path / "out", features=[*RAW, UNTRAINED]).jobs())
    assert [job.place for job in jobs] == [
        f"{row}/{clip}"
        for clip in ("blackswan", "dog")
        for row in ("colour/0", "patches/0", "untrained/0", "untrained/1")
    ]


def test_a_key_holds_what_scores_depend_on(evaluation):
    job = next(iter(evaluation.jobs()))
    assert job.key.task == "davis"
    assert job.key.preset_hash == evaluation.preset.hash()
    assert job.key.clip == evaluation.clips["dog"].digest
    assert job.key.features == job.candidate.identity(0)
    assert len({job.key.to_json() for job in evaluation.jobs()}) == 4


def test_features_are_identified_once_and_files_hashed_once(davis, tmp_path, monkeypatch):
    identified, hashed = [], []
    identify, digest = candidates.identify, Frames.digest
    monkeypatch.setattr(candidates, "identify", lambda *a, **k: identified.append(a) or identify(*a, **k))
    monkeypatch.setattr(Frames, "digest", lambda frames: hashed.append(frames) or digest(frames))
    evaluation = prepared(davis, tmp_path / "out", features=[*RAW, UNTRAINED])
    assert len(list(evaluation.jobs())) == 8
    assert len(identified) == 4, "once for each candidate and seed"
    assert len(hashed) == 2, "once for each clip"


def test_an_unreadable_clip_is_named_and_the_rest_prepared(davis, tmp_path, capsys):
    (davis / "Annotations/480p/dog/00002.png").unlink()
    evaluation = prepared(davis, tmp_path / "out")
    assert list(evaluation.clips) == ["blackswan"]
    (failure,) = evaluation.unreadable
    assert (failure.features, failure.clip, failure.seed) == (None, "dog", None)
    assert "00002.png: annotation missing" in failure.error
    assert "dog: not scored: " in capsys.readouterr().out


def test_a_file_that_cannot_be_hashed_costs_its_clip_only(davis, tmp_path, monkeypatch):
    from videomac.propagation import clips

    read_bytes = clips.read_bytes

    def refuse(path):
        if "dog" in str(path):
            raise EvaluationError(f"{path}: cannot be read (permission denied)")
        return read_bytes(path)

    monkeypatch.setattr(clips, "read_bytes", refuse)
    evaluation = prepared(davis, tmp_path / "out")
    assert list(evaluation.clips) == ["blackswan"]
    assert "permission denied" in evaluation.unreadable[0].error


def test_without_a_readable_clip_there_is_no_evaluation(davis, tmp_path):
    shutil.rmtree(davis / "Annotations")
    with pytest.raises(EvaluationError, match=r"no clip can be scored: .*dog: folder of annotations not found"):
        prepared(davis, tmp_path / "out")


def test_departures_from_a_preset_and_unknown_ones(davis, tmp_path):
    assert prepared(davis, tmp_path / "out", settings={"topk": 3}).preset.name == "crw*"
    asked = settings(davis, tmp_path / "out").model_copy(update={"preset": "crww"})
    with pytest.raises(ConfigError, match="crww"):
        prepare(asked)


def test_the_device_follows_from_the_configuration(davis, tmp_path):
    assert prepared(davis, tmp_path / "out").device == "cpu"
    assert prepared(davis, tmp_path / "out", gpu=True).device == "cuda"


def test_what_unusual_masks_were_taken_for_is_printed_and_part_of_the_key(davis, capsys):
    data = config.LabelledData(root=str(davis), clips=("dog",))
    ordinary = tasks.read_clip("davis", data, "dog")
    for path in ordinary.masks.values():
        ids_hw = np.array(Image.open(path))
        Image.fromarray(np.where(ids_hw > 0, 255, 0).astype(np.uint8)).save(path)
    raw = config.Candidate(label="raw", source="raw_colour")
    unusual = prepare(config.Evaluate(data=data, features=(raw,))).clips["dog"]
    assert "dog: 255 is the only value of the first mask beside 0" in capsys.readouterr().out
    as_classes = dataclasses.replace(unusual)
    as_classes.__dict__["objects"] = dataclasses.replace(unusual.objects, is_binary=False)
    assert unusual.digest != as_classes.digest, "scores from before 255 was read so are not used again"
