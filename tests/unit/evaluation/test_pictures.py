"""Pictures of a clip from predictions in hand."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from tests.unit.evaluation.material import answer
from videomac.errors import EvaluationError
from videomac.evaluation.pictures import draw_clip, shown_frames


def scored(evaluation, clip):
    jobs = [job for job in evaluation.jobs() if job.clip.name == clip]
    return jobs[0].clip, [answer(evaluation, job, with_components=True) for job in jobs]


def test_files_of_a_clip_with_masks(evaluation):
    clip, answers = scored(evaluation, "dog")
    predictions = [found.prediction for found in answers]
    files = draw_clip(clip, predictions, answers[0].components_tyx3)
    assert files.keys() == {".npz", ".jpg", ".mp4", ".pca.jpg"}
    arrays = np.load(io.BytesIO(files[".npz"]))
    shown = shown_frames(clip)
    assert arrays["frame_ids"].tolist() == shown
    assert arrays["truth"].shape == arrays["prediction_0"].shape == arrays["frames"].shape[:3] == (6, 68, 120)
    for place, prediction in enumerate(predictions):
        assert np.array_equal(arrays[f"prediction_{place}"], prediction[shown])
    strip = Image.open(io.BytesIO(files[".jpg"]))
    assert strip.height > 3 * 100, "truth and two candidates"
    with av.open(io.BytesIO(files[".mp4"])) as video:
        frames = list(video.decode(video=0))
    assert (len(frames), frames[0].width) == (6, 240)


def test_files_of_a_clip_with_key_points(points):
    clip, answers = scored(points, "dog")
    files = draw_clip(clip, [found.prediction for found in answers], answers[0].components_tyx3)
    arrays = np.load(io.BytesIO(files[".npz"]))
    assert arrays["frame_ids"].tolist() == [1, 3, 5]
    assert arrays["drawn_truth"].shape == arrays["drawn_prediction_1"].shape == arrays["frames"].shape
    assert not np.array_equal(arrays["drawn_truth"], arrays["frames"]), "joints are drawn"


def test_a_candidate_without_a_prediction_leaves_its_number_free(evaluation):
    clip, answers = scored(evaluation, "dog")
    files = draw_clip(clip, [None, answers[1].prediction], None)
    arrays = np.load(io.BytesIO(files[".npz"]))
    assert "prediction_0" not in arrays
    assert np.array_equal(arrays["prediction_1"], answers[1].prediction[shown_frames(clip)])
    assert ".pca.jpg" not in files, "no features at hand"


def test_without_any_prediction_nothing_is_drawn(evaluation):
    clip, _ = scored(evaluation, "dog")
    with pytest.raises(EvaluationError, match="dog: its predictions were removed from the folder; score it again"):
        draw_clip(clip, [None, None], None)


def test_wide_frames_are_shrunk(sample_davis, tmp_path):
    from tests.unit.evaluation.material import prepared, write_davis

    root = write_davis(tmp_path / "wide", sample_davis, {"dog": 3})
    for folder in ("JPEGImages", "Annotations"):
        for path in (root / folder / "480p/dog").iterdir():
            Image.open(path).resize((960, 544), Image.Resampling.NEAREST).save(path)
    clip = prepared(root, tmp_path / "out").clips["dog"]
    prediction = np.zeros((3, 544, 960), np.uint8)
    arrays = np.load(io.BytesIO(draw_clip(clip, [prediction], None)[".npz"]))
    assert arrays["frames"].shape == (3, 272, 480, 3)
    assert arrays["prediction_0"].shape == (3, 544, 960)
