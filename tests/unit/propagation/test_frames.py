"""Frames and their size under a protocol."""

from __future__ import annotations

import pytest

from videomac.facts.presets import PRESETS
from videomac.propagation import frames


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
