"""Which rows each step used, over all attempts and workers."""

from __future__ import annotations

from pathlib import Path

from tests.unit.pretrain.conftest import make_batch
from videomac.pretrain.ledger import Ledger, read_ledger
from videomac.records.ledger import BadLedgerRow
from videomac.storage.run_folder import RunFolder


def rows_of(steps):
    return {step: sorted(g for line in lines for g in line.g) for step, lines in steps.items()}


def test_the_ledger_counts_each_step_once_over_attempts_and_workers(tmp_path):
    """Two workers reach step 3, the checkpoint is of step 2; one worker does steps 3 and 4."""
    folder = RunFolder(str(tmp_path), "run")
    for rank in (0, 1):
        ledger = Ledger(folder, 1, rank, start_step=0)
        for step in (1, 2, 3):
            ledger.record(step, [make_batch(range(step * 4 + 2 * rank, step * 4 + 2 * rank + 2))])
            if step == 2:
                ledger.flush()
        ledger.flush()
    second = Ledger(folder, 2, 0, start_step=2)
    second.record(3, [make_batch(range(12, 16), bad=(13,))])
    second.record(4, [make_batch([16, 17, -1, -1])])
    second.flush()

    steps = read_ledger(folder)

    assert rows_of(steps) == {1: [4, 5, 6, 7], 2: [8, 9, 10, 11], 3: [12, 13, 14, 15], 4: [16, 17]}
    assert steps[3][0].bad == [BadLedgerRow(g=13, code=2, key="clip13")]


def test_a_missing_ledger_is_empty(tmp_path):
    assert read_ledger(RunFolder(str(tmp_path), "run")) == {}


def test_the_ledger_of_version_66eb288_is_read():
    fixtures = Path(__file__).parents[2] / "fixtures"

    steps = read_ledger(RunFolder(str(fixtures), "run_66eb288"))

    assert rows_of(steps) == {step: list(range(8 * step - 8, 8 * step)) for step in range(1, 5)}
