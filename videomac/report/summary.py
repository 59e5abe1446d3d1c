"""The numbers of a run, for the `results.json` of a quickstart and for the tables of the run's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from videomac.records.events import BadRow
from videomac.records.quickstart import Summary
from videomac.report.folder import RunRecord, read_run
from videomac.report.scores import read_scores

TRAINING = ("rows", "loss", "loss_online", "loss_target", "loss_consistency", "wait_share_total")
"""Metrics of which a summary has the last value."""
COUNTED = {"rows": "pairs used for training", "bad_rows": "pairs that could not be read"}
"""Metrics that count over the whole run, in words."""
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


def ms_per_pair(run: RunRecord) -> dict[str, float]:
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


def counts(run: RunRecord) -> dict[str, int]:
    """Return by name how much was read and used, how much was bad and why, and how often the run restarted."""
    bad = [event for event in run.events if isinstance(event, BadRow)]
    reasons = Counter(event.reason.replace("_", " ") for event in bad)
    since = " since the last restart" if run.restarts() else ""
    counted = {f"clips in the {split} split": n for split, n in run.shards.samples.items() if n}
    counted |= {f"sources rejected: {why}": n for why, n in run.shards.rejected.items()}
    counted |= _last_of(run, COUNTED)
    counted |= {f"pairs not read: {reason}": n for reason, n in reasons.most_common()}
    if bad:
        counted["clips with a pair that could not be read"] = len({event.key for event in bad})
    counted |= _last_of(run, {metric: text + since for metric, text in DATA_PATH.items()})
    if skipped := run.last("skipped_steps"):
        counted["steps skipped"] = round(skipped)
    return counted | {"restarts": len(run.restarts())}


def summarise(run_folder: str) -> Summary:
    """Return the numbers of a run folder.

    Raises:
        StorageError: there is no such folder, or it cannot be read.
    """
    run = read_run(run_folder)
    scores = read_scores(run.evaluation)
    return Summary(
        training=_training(run),
        ms_per_pair=ms_per_pair(run),
        data=counts(run),
        features=scores.summary() if scores else (),
    )


def _training(run: RunRecord) -> dict[str, int | float]:
    step = {} if run.last_step is None else {"step": run.last_step}
    last = {metric: value for metric in TRAINING if (value := run.last(metric)) is not None}
    pairs_per_s = run.column("pairs_per_s")[1]
    return step | last | ({"pairs_per_s": float(np.median(pairs_per_s))} if len(pairs_per_s) else {})


def _last_of(run: RunRecord, names: Mapping[str, str]) -> dict[str, int]:
    """The last values of metrics that count, under other names."""
    last = {text: run.last(metric) for metric, text in names.items()}
    return {text: round(value) for text, value in last.items() if value is not None}
