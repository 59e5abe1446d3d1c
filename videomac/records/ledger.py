"""The files in `ledger/`: which rows of the plan each step used, and which of them were bad.

`attempt_0002.jsonl` holds the steps of one attempt of all workers: a `LedgerStart`, then `LedgerSteps`. An attempt that
starts at step s makes void what earlier attempts wrote about later steps (`videomac.pretrain.ledger.read_ledger` reads
it that way). Before November 2026 each worker wrote files of its own: `attempt_0001_rank_000_start.json`, and
`attempt_0001_rank_000_step_0000100.jsonl` with a `LedgerLine` for each step.
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


class LedgerSteps(Record):
    """Consecutive steps, with the rows that all workers together used in them."""

    omits_unset = True

    first_step: int
    """The first of the steps, from 1."""
    last_step: int
    """The last of the steps."""
    start: int
    """First row of the first step. Rows follow one another, and each step used the same number of them."""
    end: int
    """The row after the last row of the last step."""
    g: list[int] = []
    """All rows of a single step, ascending, where they are not the range from start to end; else absent."""
    bad: list[BadLedgerRow] = []
    """Those among them that were bad; absent where all are good."""

    def rows(self, step: int) -> list[int]:
        """Return the rows that a step used, ascending."""
        if self.g:
            return self.g
        size = (self.end - self.start) // (self.last_step - self.first_step + 1)
        first = self.start + (step - self.first_step) * size
        return list(range(first, first + size))

    def up_to(self, step: int) -> LedgerSteps | None:
        """Return the part up to a step, None if all of it comes later."""
        if step < self.first_step or step >= self.last_step:
            return self if step >= self.last_step else None
        end = self.rows(step)[-1] + 1
        bad = [row for row in self.bad if row.g < end]
        return self.model_copy(update={"last_step": step, "end": end, "bad": bad})


class LedgerLine(Record):
    """One step of one worker, as versions before November 2026 wrote it."""

    step: int
    """The step, from 1."""
    g: list[int]
    """Rows of the plan that the worker used in it."""
    bad: list[BadLedgerRow] = []
    """Those among them that were bad; absent where all are good."""
