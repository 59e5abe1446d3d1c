"""The scores of an evaluation as tables and bars for the run page; `docs/design/report.md` has the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videomac.report.page import Table

MEASURES = ("J&F-Mean", "J-Mean", "F-Mean")
RAW = ("raw_colour", "raw_patch")


@dataclass(frozen=True)
class Scores:
    """Rows of an evaluation's `results.json`, the evaluated model first, and under what protocol they were made."""

    rows: Sequence[dict[str, Any]]
    protocol: str

    @property
    def labels(self) -> list[str]:
        """Names of the feature sets."""
        return [row["label"] for row in self.rows]

    @property
    def clips(self) -> list[str]:
        """Names of the sequences, in the order they were scored."""
        return list(self.rows[0].get("clips", {}))

    @property
    def ours(self) -> float:
        """J&F of the evaluated model."""
        return self.rows[0]["scores"]["J&F-Mean"]

    @property
    def random(self) -> float | None:
        """J&F of the untrained network, if it was scored."""
        return next((row["scores"]["J&F-Mean"] for row in self.rows if row.get("source") == "random"), None)

    @property
    def raw(self) -> float | None:
        """J&F of the better kind of raw pixels, if any was scored."""
        return max((row["scores"]["J&F-Mean"] for row in self.rows if row.get("source") in RAW), default=None)

    def means_table(self) -> Table:
        """Means over the sequences, and how far each set is from the untrained network."""
        rows = []
        for row in self.rows:
            values = [row["scores"].get(measure) for measure in MEASURES]
            apart = None if self.random is None else values[0] - self.random
            rows.append([row["label"], *values, None if row.get("source") == "random" else apart])
        columns = ["features", "J&F", "J", "F", "J&F over random init"]
        return Table(columns, rows, digits=(None, 3, 3, 3, 3), signed=frozenset({4}), strong=frozenset({0}))

    def clips_table(self) -> Table:
        """Every sequence with every feature set."""
        rows = [
            [clip, row["label"], *(row["clips"][clip].get(measure) for measure in MEASURES)]
            for clip in self.clips
            for row in self.rows
            if clip in row.get("clips", {})
        ]
        strong = frozenset(i for i, row in enumerate(rows) if row[1] == self.labels[0])
        return Table(["sequence", "features", "J&F", "J", "F"], rows, digits=(None, None, 3, 3, 3), strong=strong)

    def bars(self) -> list[tuple[str, float, list[float]]]:
        """Label, mean J&F and J&F by sequence, for the chart."""
        return [
            (row["label"], row["scores"]["J&F-Mean"], [clip["J&F-Mean"] for clip in row.get("clips", {}).values()])
            for row in self.rows
        ]


def read_scores(evaluation: dict[str, Any] | None) -> Scores | None:
    """The scores in an evaluation's `results.json`; None where none has J&F (another task, or nothing scored yet)."""
    rows = [row for row in (evaluation or {}).get("rows", []) if "J&F-Mean" in row.get("scores", {})]
    if not rows or evaluation is None:
        return None
    preset = f"Protocol {evaluation.get('preset', 'unknown')} ({evaluation.get('preset_hash', 'no hash')})"
    return Scores(rows, f"{preset}; {len(rows[0].get('clips', {}))} sequences.")
