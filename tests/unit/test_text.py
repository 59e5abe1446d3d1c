"""Numbers, durations and origins for people."""

from __future__ import annotations

import numpy as np
import pytest

from videomac import text
from videomac.records.provenance import MadeWith


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (None, 3, text.DASH),
        (1234567, None, "1\u202f234\u202f567"),
        (np.int64(-1234), None, "\u22121\u202f234"),
        (-0.5, 2, "\u22120.50"),
        (np.float32(0.125), 3, "0.125"),
        (1234.5678, None, "1\u202f235"),
        (True, 2, "True"),
        (np.bool_(False), None, "False"),
        ("as-is", 2, "as-is"),
    ],
)
def test_numbers(value: object, digits: int | None, expected: str) -> None:
    assert text.number_text(value, digits) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, text.DASH),
        (0.042, "0.042 s"),
        (42.4, "42 s"),
        (185, "3 min 05 s"),
        (7500, "2 h 05 min"),
        (59.7, "1 min 00 s"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert text.duration_text(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0:00"), (69.6, "1:10"), (3599.9, "1:00:00"), (7505, "2:05:05")]
)
def test_clock(seconds: float, expected: str) -> None:
    assert text.clock(seconds) == expected


def test_an_origin_leaves_out_what_is_not_known() -> None:
    made = MadeWith(config_hash="abc", machine="2 x x86_64", versions={"torch": "2.6", "ray": "2.60"})
    assert text.origin_text(made) == "config hash abc · machine 2 x x86_64 · torch 2.6 · ray 2.60"
    assert text.origin_text(MadeWith()) == ""
