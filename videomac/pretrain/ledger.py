"""Which rows each step used: written in parts, exact after any crash."""

from __future__ import annotations

import math
from collections.abc import Iterator

from videomac.data.batch import Batch
from videomac.records.ledger import BadLedgerRow, LedgerLine, LedgerStart
from videomac.storage.run_folder import RunFolder


class Ledger:
    """Writes which rows each step used on one worker, and which of them were bad.

    A part is written before the checkpoint that covers it. An attempt that starts at step s makes void whatever earlier
    attempts wrote about later steps, so nothing is ever rewritten.
    """

    def __init__(self, folder: RunFolder, attempt: int, rank: int, start_step: int) -> None:
        self._folder = folder
        self._prefix = f"ledger/attempt_{attempt:04d}_rank_{rank:03d}"
        self._lines: list[LedgerLine] = []
        self._folder.write(f"{self._prefix}_start.json", LedgerStart(start_step=start_step).to_json())

    def record(self, step: int, batches: list[Batch]) -> None:
        """Note the rows of one step, without pad rows."""
        rows = [
            (g, code, key)
            for b in batches
            for g, code, key in zip(b.g_b.tolist(), b.code_b.tolist(), b.keys, strict=True)
        ]
        used = [g for g, _, _ in rows if g >= 0]
        bad = [BadLedgerRow(g=g, code=code, key=key) for g, code, key in rows if g >= 0 and code != 0]
        self._lines.append(LedgerLine(step=step, g=used, bad=bad) if bad else LedgerLine(step=step, g=used))

    def flush(self) -> None:
        """Write the steps since the last flush as one part."""
        if self._lines:
            content = b"".join(line.to_json() + b"\n" for line in self._lines)
            self._folder.write(f"{self._prefix}_step_{self._lines[-1].step:07d}.jsonl", content)
            self._lines = []


def read_ledger(folder: RunFolder) -> dict[int, list[LedgerLine]]:
    """Return the steps that count: by step its lines, one of each worker of the attempt that the step stands from."""
    names = folder.names("ledger")
    starts = {_attempt(name): _read_start(folder, name) for name in names if name.endswith("_start.json")}
    steps: dict[int, list[LedgerLine]] = {}
    for name in names:
        later = [start for attempt, start in starts.items() if attempt > _attempt(name)]
        for line in _read_lines(folder, name) if name.endswith(".jsonl") else ():
            if line.step <= min(later, default=math.inf):
                steps.setdefault(line.step, []).append(line)
    return steps


def _attempt(name: str) -> str:
    return name.split("_rank_")[0]


def _read_start(folder: RunFolder, name: str) -> int:
    content = folder.read(f"ledger/{name}") or b""
    return LedgerStart.from_json(content, f"{folder.url}/ledger/{name}").start_step


def _read_lines(folder: RunFolder, name: str) -> Iterator[LedgerLine]:
    lines = (folder.read(f"ledger/{name}") or b"").splitlines()
    return (LedgerLine.from_json(line, f"{folder.url}/ledger/{name}") for line in lines)
