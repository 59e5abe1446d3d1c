"""docs/material.md: every row names tests that exist, and every treatment that is counted has a row."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.unit.docs.test_where import defined_in
from videomac.facts.media import Treatment

PAGE = (ROOT / "docs" / "material.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| material")]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_exist(row):
    *_, tests, _ = row.split("|")
    named = re.findall(r"`(tests/[^:`]+)::(test_\w+)`", tests)
    assert named
    for path, test in named:
        assert test in defined_in(ROOT / path), f"{path} has no {test}"


def test_every_treatment_that_is_counted_has_a_row():
    assert {f"`{treatment.value}`" for treatment in Treatment} <= set(re.findall(r"`\w+`", PAGE))
