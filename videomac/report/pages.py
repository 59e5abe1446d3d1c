"""The page of any folder that this project writes: a run, a sweep, an evaluation."""

from __future__ import annotations

from videomac.report.evaluation import write_evaluation_report
from videomac.report.folder import Reader
from videomac.report.run import write_run_report
from videomac.report.sweep import write_sweep_report


def write_report(folder: str) -> str:
    """Writes `report.html` into a folder, by what its `results.json` holds; returns its path.

    A folder without results is a run's: one that is going on, or that has stopped.

    Raises:
        StorageError: there is no such folder, or it cannot be written.
    """
    results = Reader(folder).json("results.json") or {}
    if "trials" in results:
        return write_sweep_report(folder)
    if "rows" in results:
        return write_evaluation_report(folder)
    return write_run_report(folder)
