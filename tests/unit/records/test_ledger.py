"""Lines of the ledger."""

from __future__ import annotations

import json

from videomac.records.ledger import BadLedgerRow, LedgerSteps

BAD = BadLedgerRow(g=13, code=2, key="clip")


def test_steps_of_good_rows_have_no_lists():
    line = LedgerSteps(first_step=1, last_step=2, start=0, end=8)

    assert json.loads(line.to_json()) == {"first_step": 1, "last_step": 2, "start": 0, "end": 8}


def test_bad_rows_are_written_and_read_back():
    line = LedgerSteps(first_step=3, last_step=3, start=12, end=16, bad=[BAD])

    assert json.loads(line.to_json())["bad"] == [{"g": 13, "code": 2, "key": "clip"}]
    assert LedgerSteps.from_json(line.to_json(), "ledger") == line


def test_a_line_tells_the_rows_of_each_of_its_steps():
    line = LedgerSteps(first_step=3, last_step=5, start=12, end=24)

    assert [line.rows(step) for step in (3, 4, 5)] == [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]


def test_a_line_is_cut_after_a_step_with_the_bad_rows_of_the_rest():
    line = LedgerSteps(first_step=3, last_step=5, start=12, end=24, bad=[BAD, BAD.model_copy(update={"g": 22})])

    assert line.up_to(2) is None
    assert line.up_to(4) == LedgerSteps(first_step=3, last_step=4, start=12, end=20, bad=[BAD])
    assert line.up_to(5) == line
