"""The page of a sweep: its trials as a table, the best one named, scores over the values that were tried.

Reads `results.json` of the sweep's folder: `name`, `metric`, `best` (name of a trial), `trials` (each `name`, `values`
by dotted key, `status`, `error`, `scores`, `run_folder`, `seconds`), and what it was made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from videomac.errors import StorageError
from videomac.report.figures import BLUE, INK, new_figure, titled
from videomac.report.folder import Reader
from videomac.report.page import Table, duration_text, figure_data_uri, number_text, origin_text, render, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_sweep_report(sweep_folder: str, **storage_options: Any) -> str:
    """Writes `report.html` into a sweep's folder (local or URL), finished or not; returns its path.

    Raises:
        StorageError: there is no such folder, it holds no results of a sweep, or it cannot be written.
    """
    sweep = Reader(sweep_folder, **storage_options).json("results.json")
    if sweep is None or "trials" not in sweep:
        raise StorageError(f"{sweep_folder}/results.json: no results of a sweep; `videomac tune` writes them")
    html = render("sweep.html.j2", **_context(sweep))
    return write_page(f"{sweep_folder.rstrip('/')}/report.html", html, **storage_options)


def _context(sweep: dict[str, Any]) -> dict[str, Any]:
    sweep = {**sweep, "trials": [{**trial, "values": _plain(trial["values"])} for trial in sweep["trials"]]}
    trials, metric = sweep["trials"], sweep["metric"]
    axes = _axes(trials)
    scored = [trial for trial in trials if metric in trial["scores"]]
    return {
        "name": sweep["name"],
        "metric": metric,
        "tiles": _tiles(sweep, scored),
        "best": next((trial for trial in scored if trial["name"] == sweep.get("best")), None),
        "table": _table(sweep, list(axes)),
        "heat_map": _heat_map(scored, metric, axes),
        "key_charts": [_key_chart(scored, metric, key, values) for key, values in axes.items() if scored],
        "failed": [trial for trial in trials if trial.get("error")],
        "origin": origin_text(sweep),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values with lists as text, so that they can be compared and looked up."""
    return {key: value if isinstance(value, (int, float)) else str(value) for key, value in values.items()}


def _axes(trials: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Every key that was varied, with its values in order."""
    found: dict[str, set[Any]] = {}
    for trial in trials:
        for key, value in trial["values"].items():
            found.setdefault(key, set()).add(value)
    return {key: sorted(values, key=_order) for key, values in found.items()}


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers by size, before everything else by name."""
    number = isinstance(value, (int, float))
    return not number, value if number else str(value)


def _tiles(sweep: dict[str, Any], scored: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    metric = sweep["metric"]
    values = [trial["scores"][metric] for trial in scored]
    seconds = sum(trial.get("seconds") or 0.0 for trial in sweep["trials"])
    tiles: list[tuple[str, ...]] = []
    if values:
        tiles.append((number_text(max(values), 3), f"best {metric}", "good"))
        tiles.append((number_text(max(values) - min(values), 3), "from the worst to the best"))
    return [*tiles, (str(len(sweep["trials"])), "trials"), (duration_text(seconds), "all trials together")]


def _table(sweep: dict[str, Any], keys: Sequence[str]) -> Table:
    others = sorted({score for trial in sweep["trials"] for score in trial["scores"]} - {sweep["metric"]})
    measures = [sweep["metric"], *others[:4]]
    rows = [
        [
            trial["name"],
            *(trial["values"].get(key) for key in keys),
            *(trial["scores"].get(measure) for measure in measures),
            trial["status"],
        ]
        for trial in sweep["trials"]
    ]
    digits = (None, *(None for _ in keys), *(4 for _ in measures), None)
    strong = frozenset(i for i, trial in enumerate(sweep["trials"]) if trial["name"] == sweep.get("best"))
    return Table(["trial", *keys, *measures, "status"], rows, digits=digits, strong=strong)


def _heat_map(scored: Sequence[dict[str, Any]], metric: str, axes: dict[str, list[Any]]) -> str | None:
    """Mean score at each pair of values, where exactly two keys were varied; the best pair is framed."""
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


def _mean(scored: Sequence[dict[str, Any]], metric: str, where: dict[str, Any]) -> float | None:
    found = [t["scores"][metric] for t in scored if all(t["values"].get(k) == v for k, v in where.items())]
    return sum(found) / len(found) if found else None


def _key_chart(scored: Sequence[dict[str, Any]], metric: str, key: str, values: Sequence[Any]) -> tuple[str, str]:
    """Every trial as a dot over one key's values, the mean at each value as a line."""
    figure, (chart,) = new_figure(5.0, 2.8)
    places = {value: place for place, value in enumerate(values)}
    dots = [(places[trial["values"][key]], trial["scores"][metric]) for trial in scored if key in trial["values"]]
    chart.scatter(*zip(*dots, strict=True), s=16, color=BLUE, alpha=0.7, linewidth=0)
    means = [(place, _mean(scored, metric, {key: value})) for value, place in places.items()]
    chart.plot(*zip(*[(x, y) for x, y in means if y is not None], strict=True), color=BLUE, linewidth=1.4)
    chart.set_xticks(range(len(values)), [str(value) for value in values])
    chart.set_xlim(-0.4, len(values) - 0.6)
    titled(chart, f"{metric} by {key}")
    return figure_data_uri(figure), f"{metric} by {key}"
