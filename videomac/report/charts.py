"""Charts of a run: losses large, every other metric as a small multiple, scores as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from videomac.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, legend, new_figure, titled
from videomac.report.folder import RunFolder
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
    "feature_std": "spread of features (0: collapsed)",
    "target_distance": "distance of target from online network",
}
# Losses have their own chart; the others are counts and clocks that the page gives as numbers.
NOT_CHARTED = {"loss", *(key for key, _, _ in PARTS)} | {
    "step", "rows", "time_s", "eta_s", "step_s", "wait_share_total", "bad_rows", "skipped_steps",
}  # fmt: skip


def smoothed(values: np.ndarray, window: float) -> np.ndarray:
    """Exponential mean with weights that fall by e over `window` values, unbiased at the beginning.

    Non-finite values take no part: they stand as gaps in the raw line.
    """
    keep, total, weight = float(np.exp(-1 / max(window, 1e-9))), 0.0, 0.0
    means = np.empty(len(values))
    for i, value in enumerate(values):
        total, weight = total * keep, weight * keep
        if np.isfinite(value):
            total, weight = total + value, weight + 1
        means[i] = total / weight if weight else np.nan
    return means


def loss_chart(run: RunFolder) -> str | None:
    """Total loss and its parts, raw (faint) and smoothed, as a data URI; None before the first step."""
    if not len(run.column("loss")[0]):
        return None
    figure, (whole, parts) = new_figure(11.0, 3.6, columns=2)
    _lines(whole, run, [("loss", "total", INK)])
    titled(whole, "total loss", "step")
    _lines(parts, run, PARTS)
    titled(parts, "its parts: mean squared error over masked cells", "step")
    legend(parts, loc="upper right")
    return figure_data_uri(figure)


def small_charts(run: RunFolder) -> str | None:
    """A small chart for every other numeric metric, as a data URI; None if there is none."""
    keys = [key for key in (*SMALL, *_other_metrics(run)) if len(run.column(key)[0])]
    if not keys:
        return None
    columns = 3
    rows = -(-len(keys) // columns)
    figure, axes = new_figure(11.0, 1.95 * rows, rows, columns)
    for one, key in zip(axes, keys, strict=False):
        _lines(one, run, [(key, key, BLUE)])
        titled(one, SMALL.get(key, key.replace("_", " ")))
        one.locator_params(axis="both", nbins=4)
    for unused in axes[len(keys) :]:
        unused.set_visible(False)
    return figure_data_uri(figure)


def score_chart(rows: Sequence[tuple[str, float, Sequence[float]]]) -> str:
    """Horizontal bars (label, mean, values by sequence) with a dot for each sequence; the first bar stands out."""
    figure, (axes,) = new_figure(11.0, 0.62 + 0.42 * len(rows))
    for place, (_, mean, values) in enumerate(rows):
        colour = BLUE if place == 0 else MUTED
        axes.barh(place, mean, height=0.56, color=colour, alpha=0.85 if place == 0 else 0.45, linewidth=0)
        axes.scatter(values, [place] * len(values), s=14, color=INK, zorder=3, linewidth=0)
        axes.text(max([mean, *values]) + 0.012, place, f"{mean:.3f}", va="center", fontsize=9.5, color=INK)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, min(1.08, 0.1 + max(max([mean, *values]) for _, mean, values in rows)))
    axes.set_xlabel("J&F; dots are sequences", fontsize=8.5, color=MUTED)
    return figure_data_uri(figure)


def _other_metrics(run: RunFolder) -> list[str]:
    seen = {key for line in run.metrics for key, value in line.items() if _charted(key, value)}
    return sorted(seen - SMALL.keys())


def _charted(key: str, value: object) -> bool:
    return key not in NOT_CHARTED and isinstance(value, (int, float)) and not isinstance(value, bool)


def _lines(axes: Axes, run: RunFolder, lines: Sequence[tuple[str, str, str]]) -> None:
    """Draws metrics (key, label, colour) raw and smoothed, with the restarts."""
    drawn = [np.empty(0)]
    for key, label, colour in lines:
        steps, values = run.column(key)
        if len(steps):
            axes.plot(steps, values, color=colour, alpha=0.28, linewidth=0.9, marker="." if len(steps) == 1 else None)
            axes.plot(steps, smoothed(values, len(values) / 30), color=colour, linewidth=1.7, label=label)
            drawn.append(values)
    for step in run.restarts():
        axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    _cut_outliers(axes, np.concatenate(drawn))


def _cut_outliers(axes: Axes, values: np.ndarray) -> None:
    """Cuts off single high values, so that one spike does not flatten the rest."""
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return
    lowest, usual, highest = np.quantile(finite, [0, 0.98, 1])
    if highest - usual > usual - lowest > 0:
        axes.set_ylim(lowest - 0.06 * (usual - lowest), usual + 0.25 * (usual - lowest))
