"""Which rows each step used: written part by part, exact after any crash."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from videomac.data.batch import Batch
from videomac.storage.run_folder import RunFolder


class Ledger:
    """Which rows each step used on one worker, and which of them were bad: exact, also after any crash.

    A part is written before the checkpoint that covers it. An attempt that starts at step s makes void whatever earlier
    attempts wrote about later steps, so nothing is ever rewritten.
    """

    def __init__(self, folder: RunFolder, attempt: int, rank: int, start_step: int) -> None:
        self._folder = folder
        self._prefix = f"ledger/attempt_{attempt:04d}_rank_{rank:03d}"
        self._lines: list[dict[str, Any]] = []
        self._folder.write(f"{self._prefix}_start.json", json.dumps({"start_step": start_step}).encode())

    def record(self, step: int, batches: list[Batch]) -> None:
        """Notes the rows of one step; pad rows are in no ledger."""
        rows = [
            (g, code, key)
            for b in batches
            for g, code, key in zip(b.g_b.tolist(), b.code_b.tolist(), b.keys, strict=True)
        ]
        line: dict[str, Any] = {"step": step, "g": [g for g, _, _ in rows if g >= 0]}
        bad = [{"g": g, "code": code, "key": key} for g, code, key in rows if g >= 0 and code != 0]
        self._lines.append(line | ({"bad": bad} if bad else {}))

    def flush(self) -> None:
        """Writes the steps since the last flush as one part."""
        if self._lines:
            lines = "".join(json.dumps(line) + "\n" for line in self._lines)
            self._folder.write(f"{self._prefix}_step_{self._lines[-1]['step']:07d}.jsonl", lines.encode())
            self._lines = []


def read_ledger(folder: RunFolder) -> dict[int, list[dict[str, Any]]]:
    """The steps that count: step -> its lines, one of each worker of the attempt that the step stands from."""
    names = folder.names("ledger")
    starts: dict[str, int] = {}
    for name in names:
        if name.endswith("_start.json"):
            starts[_attempt(name)] = json.loads(folder.read(f"ledger/{name}") or b"{}")["start_step"]
    steps: dict[int, list[dict[str, Any]]] = {}
    for name in names:
        later = [start for attempt, start in starts.items() if attempt > _attempt(name)]
        for line in _parsed(folder.read(f"ledger/{name}")) if name.endswith(".jsonl") else ():
            if line["step"] <= min(later, default=math.inf):
                steps.setdefault(line["step"], []).append(line)
    return steps


def _attempt(name: str) -> str:
    return name.split("_rank_")[0]


def _parsed(content: bytes | None) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in (content or b"").splitlines())
