"""Charts of a run: large ones for losses, small ones for every other metric, bars for scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from videomac.facts.tasks import TASKS
from videomac.records.metrics import PROBE
from videomac.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, legend, new_figure, titled
from videomac.report.folder import RunRecord
from videomac.report.page import figure_data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = (
    ("loss_online", "online, frame 1", BLUE),
    ("loss_target", "target, frame 2", ORANGE),
    ("loss_consistency", "consistency", GREEN),
)
SMALL = {
    "lr": "learning rate",
    "momentum": "EMA momentum",
    "grad_norm": "gradient norm",
    "pairs_per_s": "pairs per second",
    "wait_share": "share of time waiting for data",
    "memory_mb": "memory, MiB",
    "feature_std": "spread of features (0 is collapse)",
    "target_distance": "distance between the two networks",
}
SCHEDULES = {"lr", "momentum"}
HEADLINES = {task.headline for task in TASKS.values()}
"""Scores of a probe that are charted."""
BINS = 500
"""Points of a curve: longer runs are drawn as the range of values in each bin."""
# Losses have a chart of their own; the others are counts and times, which the page gives as numbers.
NOT_CHARTED = {"loss", *(key for key, _, _ in PARTS)} | {
    "rows", "time_s", "eta_s", "step_s", "wait_share_total", "bad_rows", "skipped_steps",
    "clips_read", "pairs_made", "read_mb", "storage_requests", "ray_blocks", "ray_output_mb", "ray_spilled_mb",
}  # fmt: skip


def smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return the Gaussian mean over neighbours, `sigma` in places, of the finite values; NaN where there is none near.

    Both the values and their number are smoothed with zeros beyond the ends, so that the quotient is a mean of what is
    there.
    """
    known = np.isfinite(values)
    total, weight = (
        gaussian_filter1d(part, max(sigma, 1e-9), mode="constant", truncate=3.0)
        for part in (np.where(known, values, 0.0), known.astype(np.float64))
    )
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 1e-12)


Chart = tuple[str, str]
"""`data:` URI of a chart and what it shows in words."""


def loss_charts(run: RunRecord) -> list[Chart]:
    """Return charts of the total loss and of its parts, raw (faint) and smoothed; none before the first step."""
    if not len(run.column("loss")[0]):
        return []
    whole, (axes,) = new_figure(5.6, 3.5)
    _lines(axes, run, [("loss", "total", INK)])
    titled(axes, "total loss", "step")
    parts, (axes,) = new_figure(5.6, 3.5)
    _lines(axes, run, PARTS)
    titled(axes, "its parts: mean squared error over masked cells", "step")
    legend(axes, loc="best")
    return [(figure_data_uri(whole), "total loss by step"), (figure_data_uri(parts), "parts of the loss by step")]


def small_charts(run: RunRecord) -> list[Chart]:
    """Return a small chart for every other numeric metric."""
    charts = []
    for key in (*SMALL, *_other_metrics(run)):
        if not len(run.column(key)[0]):
            continue
        figure, (axes,) = new_figure(3.7, 2.0)
        _lines(axes, run, [(key, key, BLUE)], smooth=key not in SCHEDULES)
        title = SMALL.get(key, key.replace("_", " "))
        titled(axes, title)
        axes.locator_params(axis="both", nbins=4)
        charts.append((figure_data_uri(figure), f"{title} by step"))
    return charts


def score_chart(rows: Sequence[tuple[str, float, Sequence[float]]], measure: str) -> str:
    """Return horizontal bars (label, mean, values by sequence) and a dot per sequence; the first bar stands out."""
    figure, (axes,) = new_figure(7.4, 0.62 + 0.36 * len(rows))
    number = {"va": "center", "ha": "right", "fontsize": 10, "color": INK}
    for place, (_, mean, values) in enumerate(rows):
        colour = BLUE if place == 0 else MUTED
        axes.barh(place, mean, height=0.56, color=colour, alpha=0.85 if place == 0 else 0.45, linewidth=0)
        axes.scatter(values, [place] * len(values), s=14, color=INK, zorder=3, linewidth=0)
        axes.text(1, place, f"{mean:.3f}", transform=axes.get_yaxis_transform(), **number)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    highest = max(max([mean, *values]) for _, mean, values in rows)
    axes.set_xlim(0, 1.18 * highest if highest > 0 else 1)
    axes.set_xlabel(f"{measure}: mean as a bar and a number, each sequence as a dot", fontsize=8.5, color=MUTED)
    return figure_data_uri(figure)


def clip_chart(clips: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]], measure: str) -> str:
    """Return horizontal bars by clip, one for each of the first rows: (label, value by clip, None if it has none)."""
    shown = list(zip(rows, (BLUE, ORANGE, GREEN, PURPLE), strict=False))
    thick = 0.8 / len(shown)
    figure, (axes,) = new_figure(7.4, 0.9 + len(clips) * (0.14 + 0.13 * len(shown)))
    for number, ((label, values), colour) in enumerate(shown):
        places = [place - 0.4 + thick * (number + 0.5) for place in range(len(clips))]
        axes.barh(
            places, [value or 0.0 for value in values], height=0.9 * thick, color=colour, label=label, linewidth=0
        )
    axes.set_yticks(range(len(clips)), clips, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel(f"{measure} by clip", fontsize=8.5, color=MUTED)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK, handlelength=1.4)
    return figure_data_uri(figure)


def _other_metrics(run: RunRecord) -> list[str]:
    return sorted(metric for metric in run.metrics - SMALL.keys() if _charted(metric))


def _charted(metric: str) -> bool:
    return metric not in NOT_CHARTED and (not metric.startswith(PROBE) or metric.removeprefix(PROBE) in HEADLINES)


def _lines(axes: Axes, run: RunRecord, lines: Sequence[tuple[str, str, str]], smooth: bool = True) -> None:
    """Draw metrics (key, label, colour) raw and smoothed, and a line at each restart."""
    drawn = [np.empty(0)]
    for key, label, colour in lines:
        steps, values = run.column(key)
        if not len(steps):
            continue
        _raw(axes, steps, values, colour, 0.28 if smooth else 1.0)
        if smooth:
            at = slice(None, None, max(1, len(steps) // BINS))
            axes.plot(steps[at], smoothed(values, len(values) / 60)[at], color=colour, linewidth=1.7, label=label)
        drawn.append(values)
    for step in run.restarts():
        axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    _cut_outliers(axes, np.concatenate(drawn))


def _raw(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str, opacity: float) -> None:
    """Draw every value as a line; of a long run the range in each of `BINS` bins, so that the page stays small."""
    if len(steps) <= 2 * BINS:
        marker = "." if len(steps) == 1 else None
        axes.plot(steps, values, color=colour, alpha=opacity, linewidth=0.9 if opacity < 1 else 1.7, marker=marker)
        return
    edges = np.linspace(0, len(steps), BINS + 1).astype(int)[:-1]
    lowest, highest = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    axes.fill_between(steps[edges], lowest, highest, color=colour, alpha=opacity, linewidth=0.6)


def _cut_outliers(axes: Axes, values: np.ndarray) -> None:
    """Cut off single high values, so that one spike does not flatten the rest."""
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return
    lowest, usual, highest = np.quantile(finite, [0, 0.98, 1])
    if highest - usual > usual - lowest > 0:
        axes.set_ylim(lowest - 0.06 * (usual - lowest), usual + 0.25 * (usual - lowest))
