"""The page of any folder that this project writes: of a run, a sweep or an evaluation."""

from __future__ import annotations

from videomac.report.evaluation import write_evaluation_report
from videomac.report.folder import Reader
from videomac.report.run import write_run_report
from videomac.report.sweep import write_sweep_report


def write_report(folder: str) -> str:
    """Write the page that fits the folder's `results.json` and return its path.

    A folder without results belongs to a run that is going on or has stopped.

    Raises:
        StorageError: there is no such folder, or the page cannot be written.
    """
    results = Reader(folder).keys("results.json")
    if "trials" in results:
        return write_sweep_report(folder)
    if "rows" in results:
        return write_evaluation_report(folder)
    return write_run_report(folder)
