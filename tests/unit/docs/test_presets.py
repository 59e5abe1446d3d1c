"""The table of protocols in docs/evaluation.md holds the numbers of the presets."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from videomac.facts.presets import PRESETS


def rows() -> dict[str, list[str]]:
    """Return the cells of each preset's row: input, context, window, frame 0, k and ties, T, labels."""
    text = (ROOT / "docs" / "evaluation.md").read_text()
    found = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", text.split("## Protocols")[1], flags=re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found if name in PRESETS}


def test_every_preset_has_a_row():
    assert set(rows()) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_holds_the_presets_numbers(name):
    preset, (entering, context, window, first, topk, temperature, *_) = PRESETS[name], rows()[name]

    assert all(str(side) in entering for side in (preset.height, preset.width) if side is not None)
    if "as `crw`" in context:
        assert preset.context == PRESETS["crw"].context
    else:
        assert int(re.match(r"\d+", context)[0]) == preset.context
    assert preset.window in window
    assert int(re.search(r"\d+", window)[0]) == preset.radius
    assert ("no window" in first) != preset.first_windowed
    assert int(re.match(r"\d+", topk)[0]) == preset.topk
    assert preset.ties in topk
    assert float(temperature) == preset.temperature
