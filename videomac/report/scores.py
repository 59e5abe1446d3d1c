"""The scores of an evaluation as tables and bars for the run page; `docs/design/report.md` has the format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videomac.records.evaluation import Results, TableRow
from videomac.records.quickstart import FeatureScores
from videomac.report.page import Table

DAVIS_MEASURES = ("J&F-Mean", "J-Mean", "F-Mean")
RAW = ("raw_colour", "raw_patch")


@dataclass(frozen=True)
class Scores:
    """Rows of an evaluation, the evaluated model first; `headline` is the measure that ranks them."""

    rows: Sequence[TableRow]
    headline: str
    protocol: str

    @property
    def title(self) -> str:
        """The headline's name in text."""
        return self.headline.removesuffix("-Mean")

    @property
    def labels(self) -> list[str]:
        """Names of the candidates."""
        return [row.label for row in self.rows]

    @property
    def clips(self) -> list[str]:
        """Names of the sequences, in the order of the data set."""
        return list(self.rows[0].clips)

    @property
    def ours(self) -> float | None:
        """Headline of the evaluated model; None if it is not defined."""
        return self.rows[0].scores[self.headline]

    @property
    def random(self) -> float | None:
        """Headline of the untrained network, if it was scored."""
        return next((row.scores[self.headline] for row in self.rows if row.source == "random"), None)

    @property
    def raw(self) -> float | None:
        """Headline of the better kind of raw pixels, if any was scored."""
        known = [row.scores[self.headline] for row in self.rows if row.source in RAW]
        return max((score for score in known if score is not None), default=None)

    @property
    def measures(self) -> list[str]:
        """What the tables show, the headline first: J&F, J and F, or the first few of another task."""
        known = [measure for measure in DAVIS_MEASURES if measure in self.rows[0].scores]
        others = [measure for measure in self.rows[0].scores if measure != self.headline]
        return known or [self.headline, *others[:4]]

    def means_table(self) -> Table:
        """Return means over the sequences, and how far each candidate is from the untrained network."""
        compared = self.measures[:2]
        rows = [
            [row.label, row.stage, *self._values(row.scores), *(self._over_random(row, m) for m in compared)]
            for row in self.rows
        ]
        columns = ["features", "stage", *self._titles(), *(f"{name} over random init" for name in self._titles()[:2])]
        signed = frozenset(range(len(columns) - len(compared), len(columns)))
        digits = (None, None, *self._digits(), *(3 for _ in compared))
        return Table(columns, rows, digits=digits, signed=signed, strong=frozenset({0}))

    def clips_table(self) -> Table:
        """Return every sequence with every candidate."""
        rows = [
            [clip, row.label, *self._values(row.clips[clip])]
            for clip in self.clips
            for row in self.rows
            if clip in row.clips
        ]
        strong = frozenset(i for i, row in enumerate(rows) if row[1] == self.labels[0])
        columns = ["sequence", "features", *self._titles()]
        return Table(columns, rows, digits=(None, None, *self._digits()), strong=strong)

    def bars(self) -> list[tuple[str, float, list[float]]]:
        """Return label, mean and values by sequence of the headline, for the chart; 0 where it is not defined."""
        return [
            (
                row.label,
                row.scores[self.headline] or 0.0,
                [score for clip in row.clips.values() if (score := clip.get(self.headline)) is not None],
            )
            for row in self.rows
        ]

    def summary(self) -> tuple[FeatureScores, ...]:
        """Return the scores as a summary of a run holds them."""
        return tuple(
            FeatureScores(label=row.label, source=row.source, stage=row.stage, scores=row.scores, clips=row.clips)
            for row in self.rows
        )

    def _values(self, scores: Mapping[str, float | None]) -> list[float | None]:
        return [scores.get(measure) for measure in self.measures]

    def _titles(self) -> list[str]:
        return [measure.removesuffix("-Mean") for measure in self.measures]

    def _digits(self) -> list[int]:
        return [3] * len(self.measures)

    def _over_random(self, row: TableRow, measure: str) -> float | None:
        untrained = next((other.scores.get(measure) for other in self.rows if other.source == "random"), None)
        score = row.scores.get(measure)
        if score is None or untrained is None or row.source == "random":
            return None
        return score - untrained


def read_scores(evaluation: Results | None) -> Scores | None:
    """Return the scores of an evaluation; None where nothing was scored."""
    if evaluation is None or not evaluation.rows:
        return None
    protocol = f"Protocol {evaluation.preset} ({evaluation.preset_hash})"
    if not evaluation.comparable:
        protocol += ", not comparable with published numbers"
    if evaluation.partial:
        protocol += f"; PARTIAL, {len(evaluation.failures)} clips could not be scored"
    return Scores(evaluation.rows, evaluation.headline, f"{protocol}; {len(evaluation.rows[0].clips)} sequences.")
