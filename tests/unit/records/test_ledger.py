"""Lines of the ledger."""

from __future__ import annotations

import json

from videomac.records.ledger import BadLedgerRow, LedgerLine


def test_a_step_of_good_rows_has_no_list_of_bad_ones():
    assert json.loads(LedgerLine(step=1, g=[0, 1]).to_json()) == {"step": 1, "g": [0, 1]}


def test_bad_rows_are_written_and_read_back():
    line = LedgerLine(step=1, g=[0, 1], bad=[BadLedgerRow(g=1, code=2, key="clip")])

    assert json.loads(line.to_json())["bad"] == [{"g": 1, "code": 2, "key": "clip"}]
    assert LedgerLine.from_json(line.to_json(), "ledger") == line
