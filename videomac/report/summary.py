"""The numbers of a run, for the `results.json` of a quickstart and for the tables of the run's page."""

from __future__ import annotations

from collections import Counter

import numpy as np

from videomac.records.events import BadRow
from videomac.records.quickstart import Summary
from videomac.report.folder import RunFolder, read_run
from videomac.report.scores import read_scores


def summarise(run_folder: str) -> Summary:
    """Return the numbers of a run folder.

    Raises:
        StorageError: there is no such folder.
    """
    run = read_run(run_folder)
    scores = read_scores(run.evaluation)
    keys = ("step", "rows", "loss", "loss_online", "loss_target", "loss_consistency", "wait_share_total")
    return Summary(
        training={key: run.last(key) for key in keys if run.last(key) is not None} | _speed(run),
        ms_per_pair=ms_per_pair(run),
        data=counts(run),
        features=scores.summary() if scores else (),
    )


DATA_PATH = {
    "clips_read": "clips read and decoded",
    "pairs_made": "pairs made",
    "read_mb": "MiB of clips read",
    "storage_requests": "requests to the storage",
    "storage_retries": "requests repeated",
    "ray_blocks": "blocks through Ray Data (worker 0)",
    "ray_output_mb": "MiB through Ray Data (worker 0)",
    "ray_spilled_mb": "MiB that Ray Data spilled to disk (worker 0)",
}
"""Metrics of the data path, which count from the start of the newest attempt."""


def ms_per_pair(run: RunFolder) -> dict[str, float]:
    """Return the wall milliseconds of a pair, with all workers side by side, and how they divide.

    The total is the median over the logged steps; the share of waiting is that of the newest attempt after its first
    step. Empty before the first step.
    """
    steps, pairs_per_s = run.column("pairs_per_s")
    if not len(steps) or np.median(pairs_per_s) <= 0:
        return {}
    wall = 1000 / float(np.median(pairs_per_s))
    wait_share = run.last("wait_share_total")
    if wait_share is None:
        return {"training": wall}
    waiting = wall * wait_share
    return {"training": wall, "of that waiting for data": waiting, "of that computing": wall - waiting}


def counts(run: RunFolder) -> dict[str, int]:
    """Return by name how much was read and used, how much was bad and why, and how often the run restarted."""
    counted: dict[str, int] = {}
    if run.manifest:
        counted |= {f"clips in the {split} split": n for split, n in run.manifest.get("samples", {}).items() if n}
        counted |= {f"sources rejected: {why}": n for why, n in run.manifest.get("rejected", {}).items()}
    logged = (("rows", "pairs used for training"), ("bad_rows", "pairs that could not be read"))
    counted |= {text: run.last(key) for key, text in logged if run.last(key) is not None}
    bad = [event for event in run.events if isinstance(event, BadRow)]
    reasons = Counter(event.reason.replace("_", " ") for event in bad)
    counted |= {f"pairs not read: {reason}": n for reason, n in reasons.most_common()}
    if bad:
        counted["clips with a pair that could not be read"] = len({event.key for event in bad})
    since = " since the last restart" if run.restarts() else ""
    counted |= {text + since: round(run.last(key)) for key, text in DATA_PATH.items() if run.last(key) is not None}
    if run.last("skipped_steps"):
        counted["steps skipped"] = run.last("skipped_steps")
    return counted | {"restarts": len(run.restarts())}


def _speed(run: RunFolder) -> dict[str, float]:
    pairs_per_s = run.column("pairs_per_s")[1]
    return {"pairs_per_s": float(np.median(pairs_per_s))} if len(pairs_per_s) else {}
