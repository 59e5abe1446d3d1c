"""One job: its record, and the features that are kept for a picture."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.evaluation.material import answer, prepared
from videomac.evaluation.pictures import components, features_of_shown, shown_frames
from videomac.propagation import tasks
from videomac.propagation.load import load_extractor

UNTRAINED = [{"label": "untrained", "source": "random", "model": "convnextv2_atto"}]


def test_a_record_holds_what_scoring_gave(evaluation):
    job = next(iter(evaluation.jobs()))
    found = answer(evaluation, job)
    extractor = load_extractor(job.candidate.source, 1)
    result = tasks.score_clip(job.clip, extractor, evaluation.preset, "davis")
    assert found.record.key == job.key
    assert (found.record.scores, found.record.parts) == (result.scores, result.parts)
    assert found.record.facts == extractor.facts
    assert found.record.seconds.keys() == {"features", "propagation", "upsampling", "scoring"}
    assert np.array_equal(found.prediction, result.prediction)
    assert found.components_tyx3 is None, "nobody asked for a picture"


@pytest.mark.parametrize(("preset", "short_side"), [("crw", None), ("dino", 128), ("crw-240p", 128)])
def test_features_kept_from_scoring_are_those_of_a_second_run(davis, tmp_path, preset, short_side):
    smaller = {"short_side": short_side}
    evaluation = prepared(davis, tmp_path / "out", features=UNTRAINED, preset=preset, settings=smaller)
    job = next(iter(evaluation.jobs()))
    kept = answer(evaluation, job, with_components=True)
    features_tcyx = features_of_shown(job.clip, load_extractor(job.candidate.source, 1), evaluation.preset)
    assert len(features_tcyx) == len(shown_frames(job.clip)) == 6
    assert np.array_equal(kept.components_tyx3, components(features_tcyx))


def test_only_the_shown_frames_features_are_kept(points):
    job = next(iter(points.jobs()))
    assert shown_frames(job.clip) == [0, 2, 4], "annotated frames, counted from the first of them"
    result = tasks.score_clip(
        job.clip, load_extractor(job.candidate.source, 1), points.preset, "keypoints", "cpu", shown_frames(job.clip)
    )
    assert result.features_tcyx.shape == (3, 3, 40, 40)
    assert len(result.prediction) == 5


def test_scores_do_not_depend_on_what_is_kept(evaluation):
    job = next(iter(evaluation.jobs()))
    one, other = (answer(evaluation, job, with_components=keep).record for keep in (False, True))
    assert (one.scores, one.parts) == (other.scores, other.parts)
