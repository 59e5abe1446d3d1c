"""What all records share: JSON in and out, and the table of fields for the documentation."""

from __future__ import annotations

import math
from typing import Literal, Optional

import pytest

from videomac.errors import DataError
from videomac.records.base import Number, Record, field_table


class Inner(Record):
    """A record in a record."""

    size: int
    """Bytes."""


class Outer(Record):
    """Every kind of annotation that records use."""

    name: str | None
    """A | in the text."""
    kind: Literal["a", "b"]
    """One of
    two."""
    inner: tuple[Inner, ...]
    """Others."""
    scores: dict[str, Optional[Number]]  # noqa: UP045 - the old spelling reads alike
    """By name."""


OUTER = Outer(name="x", kind="a", inner=(Inner(size=1),), scores={"J": 0.5, "F": None})


def test_a_table_has_a_row_for_each_field_with_its_type_in_short():
    assert field_table(Outer).splitlines() == [
        "| field | type | meaning |",
        "|---|---|---|",
        r"| `name` | str \| null | A \| in the text. |",
        "| `kind` | Literal['a', 'b'] | One of two. |",
        "| `inner` | tuple[Inner, ...] | Others. |",
        r"| `scores` | dict[str, float \| null] | By name. |",
    ]


def test_a_record_comes_back_from_its_json():
    assert Outer.from_json(OUTER.to_json(), "here") == OUTER


def test_numbers_that_json_lacks_are_null_and_come_back_as_nan():
    class Line(Record):
        loss: Number

    content = Line(loss=math.inf).to_json()

    assert content == b'{"loss":null}'
    assert math.isnan(Line.from_json(content, "here").loss)


def test_a_wrong_field_is_one_line_with_file_and_field():
    content = OUTER.to_json().replace(b'"size":1', b'"size":"big"')

    with pytest.raises(DataError, match=r"^a\.json: not a Outer record: inner\.0\.size: .*integer.* \(found 'big'\)$"):
        Outer.from_json(content, "a.json", DataError)
