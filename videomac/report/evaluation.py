"""The page of an evaluation, made from its folder."""

from __future__ import annotations


def write_evaluation_report(out: str) -> str:
    """Writes `report.html` into an evaluation's folder; returns its path."""
    return f"{out}/report.html"
