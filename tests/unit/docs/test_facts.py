"""Numbers and tables in the documentation are those of the code.

A number that the code decides is followed by `<!-- value: DOTTED.NAME -->`; a table of a record's fields stands between
`<!-- fields: DOTTED.RECORD -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.unit.docs.pages import FIELDS, PAGES, name_of, resolve
from videomac.records.base import field_table

NUMBER = r"(?P<number>[0-9][0-9.,_]*(?:e-?[0-9]+)?)(?P<unit>(?: ?(?:%|[a-zA-Z]+))?)"
VALUE = re.compile(rf"{NUMBER}\s*<!-- value: (?P<name>[\w.]+) -->")


def found(pattern: re.Pattern[str]) -> list[Any]:
    return [
        pytest.param(match, id=f"{name_of(page)}:{match['name']}")
        for page in PAGES
        for match in pattern.finditer(page.read_text())
    ]


@pytest.mark.parametrize("match", found(VALUE))
def test_a_quoted_number_is_the_codes(match):
    quoted = float(match["number"].replace(",", "").replace("_", ""))
    if match["unit"].strip() == "%":
        quoted /= 100

    assert quoted == pytest.approx(float(resolve(match["name"])), rel=1e-9), match[0]


@pytest.mark.parametrize("match", found(FIELDS))
def test_a_table_of_fields_is_the_records(match):
    expected = field_table(resolve(match["name"]))

    assert match["table"].strip() == expected, "python tests/unit/docs/write_tables.py writes the tables of all pages"


def test_every_marker_is_understood():
    for page in PAGES:
        text = page.read_text()
        markers = re.findall(r"<!-- (value|fields):", text)
        assert markers.count("value") == len(VALUE.findall(text)), f"{page}: a value does not follow its number"
        assert markers.count("fields") == len(FIELDS.findall(text)), f"{page}: a table has no end"


@pytest.mark.parametrize("place", ["README.md", "Makefile", "configs/quickstart.yaml"])
def test_the_demo_is_promised_to_take_the_same_time_everywhere(place):
    lines = [line for line in (ROOT / place).read_text().splitlines() if "whole line on" in line]

    assert [line for line in lines if "about three minutes on 2" not in line] == []
    assert lines
