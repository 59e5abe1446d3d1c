"""The page of a pretraining run, from whatever its folder holds at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from videomac.records.events import Attempt, BadRow, Event, Stopped
from videomac.report import charts
from videomac.report.folder import RunRecord, read_run
from videomac.report.page import Table, render, write_page
from videomac.report.pictures import Propagation, propagation, reconstructions
from videomac.report.scores import Scores, read_scores
from videomac.report.summary import counts, ms_per_pair
from videomac.text import duration_text, number_text, origin_text

EVENTS_SHOWN = 100
COUNTED_EVENTS = (BadRow,)
"""Not listed one by one because there may be many: `summary.counts` has them by reason."""


def write_run_report(run_folder: str) -> str:
    """Write `report.html` into the folder of a run (local or URL), finished or not, and return its path.

    Raises:
        StorageError: there is no such folder, or the page cannot be written.
    """
    run = read_run(run_folder)
    return write_page(f"{run.path}/report.html", render("run.html.j2", **_context(run)))


def _context(run: RunRecord) -> dict[str, object]:
    return {
        "run": run,
        "state": _state(run),
        "stopped": _stopped(run),
        "lead": _lead(run),
        "tiles": _score_tiles(read_scores(run.evaluation)) + _training_tiles(run),
        **_score_context(run, read_scores(run.evaluation)),
        **_reconstruction_context(run),
        "loss_charts": charts.loss_charts(run),
        "small_charts": charts.small_charts(run),
        "restarts": run.restarts(),
        "stages": _stages_table(run),
        "ms_per_pair": Table(["part", "ms per pair"], list(ms_per_pair(run).items()), digits=(None, 1)),
        "counts": Table(["what", "count"], list(counts(run).items())),
        "events": _events_table(run),
        "origin": origin_text(run.results if run.results.config_hash else run.card),
    }


def _score_context(run: RunRecord, scores: Scores | None) -> dict[str, object]:
    return {
        "scores": scores.means_table() if scores else None,
        "clip_scores": scores.clips_table() if scores else None,
        "score_chart": charts.score_chart(scores.bars(), scores.title) if scores else None,
        "protocol": scores.protocol if scores else "",
        "propagations": _propagations(run, scores),
    }


def _stopped(run: RunRecord) -> str | None:
    """Why the run ended early; None if it has restarted since."""
    ends = [event for event in run.events if isinstance(event, (Attempt, Stopped))]
    return ends[-1].message if ends and isinstance(ends[-1], Stopped) else None


def _state(run: RunRecord) -> str:
    step, steps, left = run.last_step, run.settings.steps, run.last("eta_s")
    if _stopped(run):
        return f"stopped at step {number_text(step)}"
    if step is None:
        return "no steps yet"
    if left == 0 or (steps and step >= steps):
        return "finished"
    whole = f" of {number_text(steps)}" if steps else ""
    return f"step {number_text(step)}{whole}" + (f", {duration_text(left)} left when written" if left else "")


def _lead(run: RunRecord) -> str:
    shown, seconds = run.settings, run.shards.seconds
    if shown.encoder is None or shown.mask_ratio is None:
        return "The run has not written its configuration yet."
    height, width = shown.image_size or ("?", "?")
    video = f"{duration_text(seconds)} of video" if seconds else "video"
    return (
        f"{shown.encoder}, pretrained on {video} without labels: pairs of frames at {height} x {width} px with "
        f"{shown.mask_ratio:.0%} of their cells hidden, {shown.batch_size or '?'} pairs in a step."
    )


def _score_tiles(scores: Scores | None) -> list[tuple[str, ...]]:
    if scores is None:
        return []
    best = (scores.ours or 0.0) >= max((other for other in (scores.random, scores.raw) if other), default=0.0)
    tiles: list[tuple[str, ...]] = [
        (number_text(scores.ours, 3), f"{scores.title}, pretrained", "good" if best else "")
    ]
    if scores.random is not None:
        tiles.append((number_text(scores.random, 3), "random init"))
    if scores.raw is not None:
        tiles.append((number_text(scores.raw, 3), "best raw pixels"))
    return tiles


def _training_tiles(run: RunRecord) -> list[tuple[str, ...]]:
    tiles: list[tuple[str, ...]] = []
    if (loss := run.last("loss")) is not None:
        tiles.append((number_text(loss, 3), f"loss at step {number_text(run.last_step)}"))
    pairs_per_s, wait = run.column("pairs_per_s")[1], run.last("wait_share_total")
    if len(pairs_per_s):
        tiles.append((number_text(float(np.median(pairs_per_s)), 1), "pairs per second"))
    if wait is not None:
        tiles.append((f"{wait:.1%}", "of the time spent waiting for data"))
    return tiles


def _reconstruction_context(run: RunRecord) -> dict[str, object]:
    if not run.pictures:
        return {"samples": [], "picture_step": None, "earlier": []}
    *earlier, (step, newest) = run.pictures
    return {
        "samples": reconstructions(newest),
        "picture_step": number_text(step),
        "earlier": [(number_text(at), reconstructions(arrays, limit=1)[0]) for at, arrays in earlier],
    }


def _propagations(run: RunRecord, scores: Scores | None) -> list[Propagation]:
    labels, order = (scores.labels, scores.clips) if scores else ([], [])
    clips = sorted(run.propagations, key=lambda clip: order.index(clip) if clip in order else len(order))
    return [propagation(clip, run.propagations[clip], labels) for clip in clips]


def _stages_table(run: RunRecord) -> Table:
    latest, first = run.results.stages_s, run.results.first_stages_s
    rows: list[Sequence[object]] = [[name, first.get(name, seconds), seconds] for name, seconds in latest.items()]
    if rows:
        rows.append(["total", sum(first.get(name, s) for name, s in latest.items()), sum(latest.values())])
    columns = ["stage", "seconds, first time", "seconds, this time"]
    if latest == first:
        columns, rows = ["stage", "seconds"], [row[:2] for row in rows]
    return Table(columns, rows, digits=(None, 1, 1), strong=frozenset({len(rows) - 1}))


def _events_table(run: RunRecord) -> Table:
    shown = [event for event in run.events if not isinstance(event, COUNTED_EVENTS)][-EVENTS_SHOWN:]
    rows = [[_clock(event), event.step, _words(event.event), _details(event)] for event in shown]
    return Table(["time, UTC", "step", "event", "details"], rows)


def _clock(event: Event) -> str | None:
    return f"{datetime.fromtimestamp(event.time, timezone.utc):%Y-%m-%d\u00a0%H:%M:%S}" if event.time else None


def _details(event: Event) -> str:
    return ", ".join(f"{_words(key)} {value}" for key, value in event.details().items())


def _words(key: str) -> str:
    return key.replace("_", " ")
