"""Which rows each step used: noted by every worker, written by rank 0 before each checkpoint, exact after any crash."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from videomac.data.batch import Batch
from videomac.records.ledger import BadLedgerRow, LedgerLine, LedgerStart, LedgerSteps
from videomac.storage.lines import JsonLines, appended_files, read_appended
from videomac.storage.run_folder import RunFolder

FOLDER = "ledger"


class StepRows(NamedTuple):
    """What one worker used in one step."""

    step: int
    ranges: tuple[tuple[int, int], ...]
    """Rows from the first number up to the second one, in ascending order."""
    bad: tuple[BadLedgerRow, ...]


class Ledger:
    """Notes the rows of this worker's steps. Rank 0 (`leads`) writes those of all workers.

    A checkpoint counts only once the steps that it covers are written. An attempt that starts at step s makes void
    whatever earlier attempts wrote about later steps, so nothing is ever rewritten.
    """

    def __init__(self, folder: RunFolder, attempt: int, start_step: int, leads: bool) -> None:
        self._notes: list[StepRows] = []
        self._lines = JsonLines(folder, f"{FOLDER}/attempt_{attempt:04d}.jsonl", silent=not leads)
        self._lines.write(LedgerStart(start_step=start_step))
        self._lines.flush()

    def record(self, step: int, batches: Iterable[Batch]) -> None:
        """Note the rows of one step, without pad rows."""
        used = torch.cat([b.g_b for b in batches])
        bad = [
            BadLedgerRow(g=g, code=code, key=key)
            for b in batches
            for g, code, key in zip(b.g_b.tolist(), b.code_b.tolist(), b.keys, strict=True)
            if g >= 0 and code != 0
        ]
        self._notes.append(StepRows(step, ranges_of(used[used >= 0].tolist()), tuple(bad)))

    def take(self) -> list[StepRows]:
        """Return the notes since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def write(self, workers: Iterable[Sequence[StepRows]]) -> None:
        """Rank 0: write the notes of all workers, each of which has taken part in the same steps.

        Raises:
            StorageError: the run folder cannot be written.
        """
        for line in merged(itertools.chain.from_iterable(workers)):
            self._lines.write(line)
        self._lines.flush()

    def close(self) -> None:
        """Finish the file."""
        self._lines.close()


def ranges_of(rows: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the ranges that make up `rows`, ascending; a row that is there twice is in two ranges."""
    ranges: list[tuple[int, int]] = []
    for row in sorted(rows):
        if ranges and ranges[-1][1] == row:
            ranges[-1] = (ranges[-1][0], row + 1)
        else:
            ranges.append((row, row + 1))
    return tuple(ranges)


def merged(notes: Iterable[StepRows]) -> list[LedgerSteps]:
    """Return the fewest lines that say what workers used in their steps, by step."""
    lines: list[LedgerSteps] = []
    by_step = itertools.groupby(sorted(notes, key=lambda note: note.step), key=lambda note: note.step)
    for line in (_line(step, list(of_step)) for step, of_step in by_step):
        if lines and _continues(lines[-1], line):
            update = {"last_step": line.last_step, "end": line.end}
            bad = {"bad": [*lines[-1].bad, *line.bad]} if lines[-1].bad or line.bad else {}
            lines[-1] = lines[-1].model_copy(update=update | bad)
        else:
            lines.append(line)
    return lines


def _line(step: int, notes: Sequence[StepRows]) -> LedgerSteps:
    ranges = sorted(itertools.chain.from_iterable(note.ranges for note in notes))
    bad = sorted((row for note in notes for row in note.bad), key=lambda row: row.g)
    start, end = ranges[0][0] if ranges else 0, ranges[-1][1] if ranges else 0
    line = LedgerSteps(first_step=step, last_step=step, start=start, end=end)
    if any(before[1] != after[0] for before, after in itertools.pairwise(ranges)):
        line = line.model_copy(update={"g": [g for first, after in ranges for g in range(first, after)]})
    return line.model_copy(update={"bad": bad}) if bad else line


def _continues(line: LedgerSteps, next_line: LedgerSteps) -> bool:
    """Return whether both together are consecutive steps of one size, of consecutive rows."""
    steps, size = line.last_step - line.first_step + 1, next_line.end - next_line.start
    follows = (line.last_step + 1, line.end) == (next_line.first_step, next_line.start)
    return follows and not line.g and not next_line.g and line.end - line.start == steps * size


def count_attempts(folder: RunFolder) -> int:
    """Return how many attempts have written into the run's ledger."""
    return max(map(_attempt, _files(folder)), default=0)


def read_ledger(folder: RunFolder) -> list[LedgerSteps]:
    """Return the steps that count, in ascending order: each from the newest attempt that has done it.

    Raises:
        StorageError: the run folder cannot be read.
        VideomacError: a line is not a line of a ledger.
    """
    by_attempt = itertools.groupby(_files(folder), key=_attempt)
    found: list[LedgerSteps] = []
    for start_step, lines in [_read_attempt(folder, list(files)) for _, files in by_attempt]:
        if start_step is not None:
            found = [cut for line in found if (cut := line.up_to(start_step)) is not None]
        found += lines
    return found


def _files(folder: RunFolder) -> list[str]:
    return [name for name in appended_files(folder.names(FOLDER)) if name.startswith("attempt_")]


def _attempt(file: str) -> int:
    return int(re.split(r"[_.]", file)[1])


def _read_attempt(folder: RunFolder, files: Sequence[str]) -> tuple[int | None, list[LedgerSteps]]:
    """Return the start of an attempt, and what it wrote."""
    start_step, lines, notes = None, [], []
    for place, line in itertools.chain.from_iterable(_lines(folder, file) for file in files):
        if b'"start_step"' in line:
            start_step = LedgerStart.from_json(line, place).start_step
        elif b'"first_step"' in line:
            lines.append(LedgerSteps.from_json(line, place))
        else:
            old = LedgerLine.from_json(line, place)
            notes.append(StepRows(old.step, ranges_of(old.g), tuple(old.bad)))
    return start_step, lines + merged(notes)


def _lines(folder: RunFolder, file: str) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the content of each complete line."""
    content = read_appended(folder.storage, f"{FOLDER}/{file}") or b""
    complete = content if file.endswith(".json") else content[: content.rfind(b"\n") + 1]
    return ((f"{folder.url}/{FOLDER}/{file}: line {number}", line)
            for number, line in enumerate(complete.splitlines(), 1))  # fmt: skip
