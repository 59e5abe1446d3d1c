"""Which rows each step used, over all attempts and workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.pretrain.conftest import make_batch
from videomac.pretrain.ledger import Ledger, StepRows, count_attempts, merged, ranges_of, read_ledger
from videomac.records.ledger import BadLedgerRow, LedgerSteps
from videomac.storage.run_folder import RunFolder


@pytest.fixture(params=["local", "store"])
def folder(request, tmp_path):
    if request.param == "store":
        request.getfixturevalue("memory_store")
        return RunFolder("memory://bucket/runs/", "run")
    return RunFolder(str(tmp_path), "run")


def rows_of(steps):
    return {step: line.rows(step) for line in steps for step in range(line.first_step, line.last_step + 1)}


def test_the_ledger_counts_each_step_once_over_attempts_and_workers(folder):
    """Two workers reach step 3, the checkpoint is of step 2; one worker does steps 3 and 4."""
    workers = [Ledger(folder, 1, 0, leads=rank == 0) for rank in (0, 1)]
    for step in (1, 2, 3):
        for rank, ledger in enumerate(workers):
            ledger.record(step, [make_batch(range(step * 4 + 2 * rank, step * 4 + 2 * rank + 2))])
        if step >= 2:
            workers[0].write([ledger.take() for ledger in workers])
    second = Ledger(folder, 2, 2, leads=True)
    second.record(3, [make_batch(range(12, 16), bad=(13,))])
    second.record(4, [make_batch([16, 17, -1, -1])])
    second.write([second.take()])

    steps = read_ledger(folder)

    assert rows_of(steps) == {1: [4, 5, 6, 7], 2: [8, 9, 10, 11], 3: [12, 13, 14, 15], 4: [16, 17]}
    assert [(line.first_step, line.last_step) for line in steps] == [(1, 2), (3, 3), (4, 4)], "4 has another size"
    assert steps[1].bad == [BadLedgerRow(g=13, code=2, key="clip13")]
    assert count_attempts(folder) == 2


def test_an_attempt_that_has_only_started_makes_later_steps_void(folder):
    first = Ledger(folder, 1, 0, leads=True)
    for step in (1, 2, 3):
        first.record(step, [make_batch(range(4 * step, 4 * step + 4))])
    first.write([first.take()])
    first.close()

    Ledger(folder, 2, 1, leads=True)

    assert rows_of(read_ledger(folder)) == {1: [4, 5, 6, 7]}


def test_half_a_line_of_a_killed_writer_is_not_read(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    ledger = Ledger(folder, 1, 0, leads=True)
    ledger.record(1, [make_batch(range(4))])
    ledger.write([ledger.take()])
    with (tmp_path / "run/ledger/attempt_0001.jsonl").open("a") as file:
        file.write('{"first_step":2,"last_st')

    assert rows_of(read_ledger(folder)) == {1: [0, 1, 2, 3]}


def test_rows_that_no_range_holds_or_that_are_used_twice_are_told_one_by_one():
    missing = [StepRows(1, ranges_of([0, 1, 3]), ())]
    twice = [StepRows(2, ((4, 6),), ()), StepRows(2, ((5, 7),), ())]

    assert [line.rows(line.first_step) for line in merged([*missing, *twice])] == [[0, 1, 3], [4, 5, 5, 6]]


def test_a_line_stands_for_all_steps_between_two_checkpoints():
    """64 workers of two micro-steps each: what is written does not depend on their number."""
    notes = [
        StepRows(step, tuple((512 * step + 256 * half + 4 * rank, 512 * step + 256 * half + 4 * rank + 4)
                             for half in (0, 1)), ())
        for rank in range(64)
        for step in range(1, 51)
    ]  # fmt: skip

    assert merged(notes) == [LedgerSteps(first_step=1, last_step=50, start=512, end=51 * 512)]


def test_a_missing_ledger_is_empty(tmp_path):
    folder = RunFolder(str(tmp_path), "run")

    assert read_ledger(folder) == []
    assert count_attempts(folder) == 0


def test_the_ledger_of_version_66eb288_is_read():
    fixtures = Path(__file__).parents[2] / "fixtures"
    folder = RunFolder(str(fixtures), "run_66eb288")

    assert read_ledger(folder) == [LedgerSteps(first_step=1, last_step=4, start=0, end=32)]
    assert count_attempts(folder) == 1
