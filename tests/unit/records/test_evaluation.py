"""Records of evaluations: files of 66eb288 are read and written key by key, undefined values by their rules."""

from __future__ import annotations

import json
import math

import pytest

from videomac.errors import EvaluationError
from videomac.records.evaluation import (
    ClipKey,
    ClipParts,
    ClipRecord,
    Difference,
    FeatureFacts,
    FeatureIdentity,
    Results,
)

TASKS = ("davis", "vip", "keypoints")


@pytest.mark.parametrize("task", TASKS)
def test_results_of_66eb288_are_read_and_written_key_by_key(fixtures, task):
    content = (fixtures / "evaluation_66eb288" / task / "results.json").read_bytes()
    results = Results.from_json(content, "results.json")
    assert results.task == task
    assert results.rows[0].scores[results.headline] is not None
    assert results.to_plain() == json.loads(content)


@pytest.mark.parametrize("task", TASKS)
def test_clips_of_66eb288_are_read_and_written_key_by_key(fixtures, task):
    content = (fixtures / "evaluation_66eb288" / task / "clip.json").read_bytes()
    record = ClipRecord.from_json(content, "clip.json")
    assert record.key.task == task
    assert json.loads(record.to_json()) == json.loads(content)


def test_an_infinite_distance_comes_back(fixtures):
    content = (fixtures / "evaluation_66eb288/keypoints/clip.json").read_bytes()
    assert b"Infinity" in content, "one visible joint has a box of size 0"
    record = ClipRecord.from_json(content, "clip.json")
    again = ClipRecord.from_json(record.to_json(), "clip.json")
    assert math.inf in (again.parts.distances or {})["tail"]


def clip_record(**features):
    identity = FeatureIdentity(source="random", timm="1", torch="2", **features)
    key = ClipKey(schema=1, task="vip", preset_hash="p", clip="c", features=identity)
    parts = ClipParts(confusion=((1, 0), (0, 1)))
    return ClipRecord(key=key, scores={"mIoU": math.nan}, parts=parts, seconds={}, facts=FeatureFacts(source="random"))


def test_fields_that_play_no_part_are_left_out_of_the_file():
    plain = json.loads(clip_record(seed=0).to_json())
    assert plain["key"]["features"] == {"source": "random", "timm": "1", "torch": "2", "seed": 0}
    assert plain["parts"] == {"confusion": [[1, 0], [0, 1]]}
    assert plain["facts"] == {"source": "random"}


def test_a_score_that_is_not_defined_stays_nan_in_a_clip_and_is_null_in_results():
    assert math.isnan(ClipRecord.from_json(clip_record().to_json(), "x").scores["mIoU"])
    difference = Difference(clips=1, per_clip={"a": math.nan}, mean=None, low=None, high=None, level=0.95)
    assert json.loads(difference.to_json())["per_clip"] == {"a": None}


def test_an_identity_with_an_unknown_field_is_another_identity():
    plain = json.loads(clip_record().to_json())
    plain["key"]["features"]["layer"] = "proj"
    with pytest.raises(EvaluationError, match=r"clip\.json: not a ClipRecord record: key\.features\.layer"):
        ClipRecord.from_json(json.dumps(plain), "clip.json", EvaluationError)


def test_keys_are_equal_where_everything_is_equal():
    assert clip_record(seed=0).key == clip_record(seed=0).key
    assert clip_record(seed=0).key != clip_record(seed=1).key
    assert clip_record().key != clip_record(weights="abc").key
