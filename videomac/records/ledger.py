"""The files in `ledger/`: which rows each step used on each worker, and which of them were bad.

`attempt_0001_rank_000_step_0000100.jsonl` holds the steps up to that checkpoint, a `LedgerLine` each;
`attempt_0002_rank_000_start.json` is a `LedgerStart`. An attempt that starts at step s makes void what earlier attempts
wrote about later steps (`videomac.pretrain.ledger.read_ledger` reads it that way).
"""

from __future__ import annotations

from videomac.records.base import Record


class LedgerStart(Record):
    """Where an attempt starts."""

    start_step: int
    """Steps done before the attempt."""


class BadLedgerRow(Record):
    """A bad row of a step."""

    g: int
    """Number of the row in the plan."""
    code: int
    """Status code of the row (`videomac.data.status.Code`)."""
    key: str
    """Key of its clip."""


class LedgerLine(Record):
    """One step of one worker."""

    omits_unset = True

    step: int
    """The step, from 1."""
    g: list[int]
    """Rows of the plan that the worker used in it."""
    bad: list[BadLedgerRow] = []
    """Those among them that were bad; absent where all are good."""
