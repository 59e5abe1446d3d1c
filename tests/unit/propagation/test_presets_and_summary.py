"""Protocols keep their names and hashes; totals, means and paired differences by hand."""

from __future__ import annotations

import pytest

from videomac.errors import ConfigError
from videomac.facts import presets
from videomac.facts.presets import PRESETS
from videomac.propagation import frames, summary


def test_every_preset_has_a_hash_of_its_own():
    hashes = {preset.hash() for preset in PRESETS.values()}
    assert len(hashes) == len(PRESETS)


def test_a_departure_changes_name_and_hash():
    changed = presets.resolve("crw", "davis", {"topk": 5})
    assert changed.name == "crw*"
    assert not changed.comparable
    assert changed.note == "crw with topk=5"
    assert changed.hash() != PRESETS["crw"].hash()
    assert presets.resolve("crw", "davis", {"topk": 10}) == PRESETS["crw"], "the preset's own value"


def test_tasks_have_their_own_preset():
    for task, name in (("vip", "vip"), ("jhmdb", "jhmdb"), ("davis", "crw"), ("masks", "crw")):
        assert presets.resolve(None, task, {}).name == name
    with pytest.raises(ConfigError, match=r"unknown preset 'crww'; did you mean 'crw'\? \(known: crw,"):
        presets.resolve("crww", "davis", {})


@pytest.mark.parametrize(
    ("name", "native", "expected"),
    [
        ("crw", (480, 854), (480, 854)),
        ("dino", (480, 854), (480, 832)),
        ("dino", (854, 480), (832, 480)),
        ("crw-240p", (480, 854), (240, 427)),
        ("cropmae", (480, 854), (480, 880)),
        ("vip", (720, 1280), (560, 560)),
    ],
)
def test_input_sizes(name, native, expected):
    assert frames.input_size(native, PRESETS[name]) == expected


@pytest.mark.parametrize(("name", "copies"), [("crw", [20, 19, 1, 0]), ("vfs", [1, 1, 1, 0]), ("dino", [0, 0, 0, 0])])
def test_copies_of_frame_0(name, copies):
    assert [PRESETS[name].copies_of_first(t) for t in (1, 2, 20, 21)] == copies


def test_totals_weigh_objects_not_clips():
    def scores(value):
        return {f"{m}-{k}": value for m in "JF" for k in ("Mean", "Recall", "Decay")}

    parts = {"a": {"objects": {"a_1": scores(0.0), "a_2": scores(0.0)}}, "b": {"objects": {"b_1": scores(0.9)}}}
    total, details = summary.total("davis", parts)
    assert total["J&F-Mean"] == pytest.approx(0.3)
    assert list(details["objects"]) == ["a_1", "a_2", "b_1"]


def test_vip_total_is_one_confusion_matrix():
    parts = {"a": {"confusion": [[4, 0], [0, 0]]}, "b": {"confusion": [[0, 2], [0, 2]]}}
    total, _ = summary.total("vip", parts)
    assert total["mIoU"] == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_pck_total_is_over_all_frames_of_all_clips():
    parts = {"a": {"distances": {"x": [0.05] * 3, "y": [0.9]}}, "b": {"distances": {"x": [0.9]}}}
    total, _ = summary.total("jhmdb", parts)
    assert total["PCK@0.1"] == pytest.approx((3 / 4 + 0) / 2)


def test_paired_difference():
    result = summary.paired_difference({"a": 0.9, "b": 0.7, "c": 0.5}, {"a": 0.6, "b": 0.5, "d": 1.0})
    assert result["mean"] == pytest.approx(0.25)
    assert result["clips"] == 2
    assert (result["low"], result["high"]) == (pytest.approx(0.2), pytest.approx(0.3))
    assert result == summary.paired_difference({"a": 0.9, "b": 0.7, "c": 0.5}, {"a": 0.6, "b": 0.5, "d": 1.0})


def test_paired_difference_without_common_clips():
    assert summary.paired_difference({"a": 1.0}, {"b": 1.0})["mean"] is None
