"""Protocols keep their names and hashes."""

from __future__ import annotations

import pytest

from videomac.errors import ConfigError
from videomac.facts import presets
from videomac.facts.presets import PRESETS


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


@pytest.mark.parametrize(("name", "copies"), [("crw", [20, 19, 1, 0]), ("vfs", [1, 1, 1, 0]), ("dino", [0, 0, 0, 0])])
def test_copies_of_frame_0(name, copies):
    assert [PRESETS[name].copies_of_first(t) for t in (1, 2, 20, 21)] == copies
