"""The scores of an evaluation as tables and bars for the run page; `docs/design/report.md` has the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videomac.report.page import Table

DAVIS_MEASURES = ("J&F-Mean", "J-Mean", "F-Mean")
RAW = ("raw_colour", "raw_patch")


@dataclass(frozen=True)
class Scores:
    """Rows of an evaluation's `results.json`, the evaluated model first; `headline` is the measure that ranks them."""

    rows: Sequence[dict[str, Any]]
    headline: str
    protocol: str

    @property
    def title(self) -> str:
        """The headline's name in text."""
        return self.headline.removesuffix("-Mean")

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
        """Headline of the evaluated model."""
        return self.rows[0]["scores"][self.headline]

    @property
    def random(self) -> float | None:
        """Headline of the untrained network, if it was scored."""
        return next((row["scores"][self.headline] for row in self.rows if row.get("source") == "random"), None)

    @property
    def raw(self) -> float | None:
        """Headline of the better kind of raw pixels, if any was scored."""
        return max((row["scores"][self.headline] for row in self.rows if row.get("source") in RAW), default=None)

    @property
    def measures(self) -> list[str]:
        """What the tables show, the headline first: J&F, J and F, or the first few of another task."""
        known = [measure for measure in DAVIS_MEASURES if measure in self.rows[0]["scores"]]
        others = [measure for measure in self.rows[0]["scores"] if measure != self.headline]
        return known or [self.headline, *others[:4]]

    def means_table(self) -> Table:
        """Means over the sequences, and how far each set is from the untrained network in the first two measures."""
        compared = self.measures[:2]
        rows = [
            [
                row["label"],
                row.get("stage"),
                *self._values(row["scores"]),
                *(self._over_random(row, m) for m in compared),
            ]
            for row in self.rows
        ]
        columns = ["features", "stage", *self._titles(), *(f"{name} over random init" for name in self._titles()[:2])]
        signed = frozenset(range(len(columns) - len(compared), len(columns)))
        digits = (None, None, *self._digits(), *(3 for _ in compared))
        return Table(columns, rows, digits=digits, signed=signed, strong=frozenset({0}))

    def clips_table(self) -> Table:
        """Every sequence with every feature set."""
        rows = [
            [clip, row["label"], *self._values(row["clips"][clip])]
            for clip in self.clips
            for row in self.rows
            if clip in row.get("clips", {})
        ]
        strong = frozenset(i for i, row in enumerate(rows) if row[1] == self.labels[0])
        columns = ["sequence", "features", *self._titles()]
        return Table(columns, rows, digits=(None, None, *self._digits()), strong=strong)

    def bars(self) -> list[tuple[str, float, list[float]]]:
        """Label, mean and values by sequence of the headline, for the chart."""
        return [
            (
                row["label"],
                row["scores"][self.headline],
                [clip[self.headline] for clip in row.get("clips", {}).values() if self.headline in clip],
            )
            for row in self.rows
        ]

    def summary(self) -> list[dict[str, Any]]:
        """Plain values for a summary file."""
        return [{key: row.get(key) for key in ("label", "source", "stage", "scores", "clips")} for row in self.rows]

    def _values(self, scores: dict[str, float]) -> list[float | None]:
        return [scores.get(measure) for measure in self.measures]

    def _titles(self) -> list[str]:
        return [measure.removesuffix("-Mean") for measure in self.measures]

    def _digits(self) -> list[int]:
        return [3] * len(self.measures)

    def _over_random(self, row: dict[str, Any], measure: str) -> float | None:
        untrained = next((other["scores"] for other in self.rows if other.get("source") == "random"), {})
        if measure not in untrained or measure not in row["scores"] or row.get("source") == "random":
            return None
        return row["scores"][measure] - untrained[measure]


def read_scores(evaluation: dict[str, Any] | None) -> Scores | None:
    """The scores in an evaluation's `results.json`; None where nothing was scored."""
    if not evaluation or not evaluation.get("rows"):
        return None
    rows, headline = evaluation["rows"], evaluation.get("headline", DAVIS_MEASURES[0])
    protocol = f"Protocol {evaluation.get('preset')} ({evaluation.get('preset_hash')})"
    if evaluation.get("comparable") is False:
        protocol += ", not comparable with published numbers"
    if evaluation.get("partial"):
        protocol += f"; PARTIAL, {len(evaluation.get('failures', []))} clips could not be scored"
    return Scores(rows, headline, f"{protocol}; {len(rows[0].get('clips', {}))} sequences.")
