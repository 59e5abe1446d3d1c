"""The page of a sweep: its trials as a table, the best one named, scores over the values that were tried.

It is drawn from the sweep's `results.json` (`records.sweep.Results`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from videomac.errors import StorageError
from videomac.records.sweep import Results, Trial
from videomac.report.figures import BLUE, INK, new_figure, titled
from videomac.report.folder import Reader
from videomac.report.page import Table, figure_data_uri, render, write_page
from videomac.text import duration_text, number_text, origin_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Value = float | str
"""A tried value as the charts place it: a number, or the text of anything else."""
OTHER_SCORES_SHOWN = 4


def write_sweep_report(sweep_folder: str) -> str:
    """Write `report.html` into the folder of a sweep (local or URL), finished or not, and return its path.

    Raises:
        StorageError: there is no such folder, it holds no results of a sweep, or the page cannot be written.
    """
    content = Reader(sweep_folder).bytes("results.json")
    if content is None:
        raise StorageError(f"{sweep_folder}/results.json: not there; videomac tune writes it after the last trial")
    sweep = Results.from_json(content, f"{sweep_folder}/results.json", StorageError)
    return write_page(f"{sweep_folder.rstrip('/')}/report.html", render("sweep.html.j2", **_context(sweep)))


def _context(sweep: Results) -> dict[str, object]:
    axes = _axes(sweep.trials)
    scored = [trial for trial in sweep.trials if sweep.metric in trial.scores]
    return {
        "name": sweep.name,
        "metric": sweep.metric,
        "tiles": _tiles(sweep, scored),
        "best": next((trial for trial in scored if trial.name == sweep.best), None),
        "table": _table(sweep, list(axes)),
        "heat_map": _heat_map(scored, sweep.metric, axes),
        "key_charts": [_key_chart(scored, sweep.metric, key, values) for key, values in axes.items() if scored],
        "failed": [trial for trial in sweep.trials if trial.error],
        "origin": origin_text(sweep),
    }


def _tried(trial: Trial, key: str) -> Value | None:
    """A trial's value of a key, None if it has none; lists become text, so that they can be compared and looked up."""
    value = trial.values.get(key)
    return value if value is None or isinstance(value, (int, float)) else str(value)


def _axes(trials: Sequence[Trial]) -> dict[str, list[Value]]:
    """Every key that was varied, with its values in order."""
    found: dict[str, set[Value]] = {}
    for trial in trials:
        for key in trial.values:
            if (value := _tried(trial, key)) is not None:
                found.setdefault(key, set()).add(value)
    return {key: sorted(values, key=_order) for key, values in found.items()}


def _order(value: Value) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by name."""
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")


def _tiles(sweep: Results, scored: Sequence[Trial]) -> list[tuple[str, ...]]:
    values = [trial.scores[sweep.metric] for trial in scored]
    seconds = sum(trial.seconds or 0.0 for trial in sweep.trials)
    tiles: list[tuple[str, ...]] = []
    if values:
        tiles.append((number_text(max(values), 3), f"best {sweep.metric}", "good"))
        tiles.append((number_text(max(values) - min(values), 3), "between the best and the worst"))
    return [*tiles, (str(len(sweep.trials)), "trials"), (duration_text(seconds), "for all trials")]


def _table(sweep: Results, keys: Sequence[str]) -> Table:
    others = sorted({score for trial in sweep.trials for score in trial.scores} - {sweep.metric})
    measures = [sweep.metric, *others[:OTHER_SCORES_SHOWN]]
    rows = [
        [
            trial.name,
            *(_tried(trial, key) for key in keys),
            *(trial.scores.get(measure) for measure in measures),
            trial.status,
        ]
        for trial in sweep.trials
    ]
    digits = (None, *(None for _ in keys), *(4 for _ in measures), None)
    strong = frozenset(i for i, trial in enumerate(sweep.trials) if trial.name == sweep.best)
    return Table(["trial", *keys, *measures, "status"], rows, digits=digits, strong=strong)


def _heat_map(scored: Sequence[Trial], metric: str, axes: Mapping[str, Sequence[Value]]) -> str | None:
    """Mean score at each pair of values, if exactly two keys were varied; the best pair is framed."""
    varied = [(key, values) for key, values in axes.items() if len(values) > 1]
    if not scored or len(varied) != 2:
        return None
    (row_key, rows), (column_key, columns) = varied
    means = [[_mean(scored, metric, {row_key: row, column_key: column}) for column in columns] for row in rows]
    known = [value for line in means for value in line if value is not None]
    figure, (chart,) = new_figure(1.6 + 1.15 * len(columns), 0.9 + 0.55 * len(rows))
    for y, line in enumerate(means):
        for x, value in enumerate(line):
            if value is not None:
                share = (value - min(known)) / max(max(known) - min(known), 1e-9)
                _cell(chart, x, y, value, share, framed=value == max(known))
    chart.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    chart.set_xticks(range(len(columns)), [str(value) for value in columns])
    chart.set_yticks(range(len(rows)), [str(value) for value in rows])
    chart.set_xlabel(column_key, fontsize=9, color=INK)
    chart.set_ylabel(row_key, fontsize=9, color=INK)
    chart.grid(visible=False)
    return figure_data_uri(figure)


def _cell(chart: Axes, x: int, y: int, value: float, share: float, framed: bool) -> None:
    """One coloured cell with its number; opacity of one colour rather than a colour map, so that both schemes work."""
    from matplotlib.patches import Rectangle

    corner = (x - 0.47, y - 0.45)
    chart.add_patch(Rectangle(corner, 0.94, 0.9, facecolor=BLUE, alpha=0.08 + 0.55 * share, linewidth=0))
    if framed:
        chart.add_patch(Rectangle(corner, 0.94, 0.9, fill=False, edgecolor=INK, linewidth=1.4))
    chart.text(x, y, number_text(value, 3), ha="center", va="center", fontsize=10, color=INK)


def _mean(scored: Sequence[Trial], metric: str, where: Mapping[str, Value]) -> float | None:
    found = [t.scores[metric] for t in scored if all(_tried(t, key) == value for key, value in where.items())]
    return sum(found) / len(found) if found else None


def _key_chart(scored: Sequence[Trial], metric: str, key: str, values: Sequence[Value]) -> tuple[str, str]:
    """Every trial as a dot over the values of one key, and the mean at each value as a line."""
    figure, (chart,) = new_figure(5.0, 2.8)
    places = {value: place for place, value in enumerate(values)}
    tried = [(_tried(trial, key), trial.scores[metric]) for trial in scored]
    dots = [(places[value], score) for value, score in tried if value is not None]
    chart.scatter(*zip(*dots, strict=True), s=16, color=BLUE, alpha=0.7, linewidth=0)
    means = [(place, _mean(scored, metric, {key: value})) for value, place in places.items()]
    chart.plot(*zip(*[(x, y) for x, y in means if y is not None], strict=True), color=BLUE, linewidth=1.4)
    chart.set_xticks(range(len(values)), [str(value) for value in values])
    chart.set_xlim(-0.4, len(values) - 0.6)
    titled(chart, f"{metric} by {key}")
    return figure_data_uri(figure), f"{metric} by {key}"
