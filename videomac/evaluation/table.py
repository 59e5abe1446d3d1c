"""The table of an evaluation on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from videomac.records.evaluation import Baseline, Results

COLUMNS = 5
"""Scores that fit beside each other on a screen."""


def print_table(results: Results) -> None:
    """Print the scores, and the paired differences to the baselines."""
    names = list(results.rows[0].scores)[:COLUMNS]
    title = f"{results.task}, preset {results.preset} ({results.preset_hash})"
    if results.partial:
        title += f" - PARTIAL: {len(results.failures)} not scored"
    table = Table("features", "stage", *names, title=title)
    for row in results.rows:
        stage = "-" if row.stage is None else str(row.stage)
        table.add_row(row.label, stage, *(_text(row.scores[name]) for name in names))
    Console().print(table)
    for baseline in results.baselines:
        print(f"{results.headline} against {baseline.against}: {_difference(baseline)}", flush=True)


def _difference(baseline: Baseline) -> str:
    if baseline.mean is None or baseline.low is None or baseline.high is None:
        return "no score in common" if baseline.clips else "no clip in common"
    interval = f"[{baseline.low:+.3f}, {baseline.high:+.3f}]"
    return f"{baseline.mean:+.3f} {interval}, {baseline.clips} clips, 95 % bootstrap"


def _text(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"
