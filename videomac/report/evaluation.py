"""The page of an evaluation: the table beside published values, bars, clips, features."""

from __future__ import annotations

import base64
import json
from typing import Any

from videomac.errors import StorageError
from videomac.records.evaluation import Results, TableRow
from videomac.report.charts import clip_chart, score_chart
from videomac.report.page import Table, render, write_page
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage
from videomac.text import number_text, origin_text

SHOWN_SCORES = ("J&F-Mean", "J-Mean", "F-Mean", "mIoU", "PCK@0.1", "PCK@0.2", "PCK@0.5")
"""Of all scores those in the table, which has to leave room for protocol and source; results.json has all."""
PICTURES = {"strip": (".jpg", "image/jpeg"), "video": (".mp4", "video/mp4"), "pca": (".pca.jpg", "image/jpeg")}
"""A clip's pictures: suffix of the file and its kind."""


def write_evaluation_report(folder: str) -> str:
    """Write `report.html` from the `results.json` of an evaluation's folder (local or URL); return its path.

    Raises:
        StorageError: there is no `results.json`, it is not one of an evaluation, or the page cannot be written.
    """
    storage = Storage(folder, advice=Advice(missing="make it with videomac evaluate"))
    content = storage.read("results.json")
    return write_evaluation_page(folder, Results.from_json(content, storage.url("results.json"), StorageError))


def write_evaluation_page(folder: str, results: Results) -> str:
    """Write `report.html` from results in hand and the pictures in the folder; return its path.

    Raises:
        StorageError: the page cannot be written.
    """
    storage = Storage(folder)
    context = {
        "name": results.rows[0].label,
        "results": results,
        "protocol": _protocol(results),
        "tiles": _tiles(results),
        "scores": _scores_table(results),
        "baselines": _baselines_table(results),
        "score_chart": score_chart(_bars(results), results.headline),
        "clip_chart": _clip_chart(results),
        "clip_scores": _clips_table(results),
        "clips": [(why, clip, _pictures(storage, clip)) for why, clip in _chosen(results)],
        "failures": Table(["features", "clip", "error"], [[f.features, f.clip, f.error] for f in results.failures]),
        "times": _times_table(results),
        "settings": json.dumps({"preset": results.preset_settings, "config": results.config}, indent=2),
        "origin": origin_text(results),
    }
    return write_page(f"{folder}/report.html", render("evaluation.html.j2", **context))


def _protocol(results: Results) -> str:
    note = str(results.preset_settings.get("note") or "")
    sentence = f" {note[:1].upper()}{note[1:]}." if note else ""
    return (
        f"Task {results.task}, preset {results.preset} ({results.preset_hash}), data set {results.dataset_hash}, "
        f"{len(results.data.clips)} clips.{sentence}"
    )


def _tiles(results: Results) -> list[tuple[str, ...]]:
    headline = results.headline
    ours, *others = results.rows
    tiles: list[tuple[str, ...]] = [(number_text(ours.scores[headline], 3), f"{headline}, {ours.label}")]
    return tiles + [(number_text(row.scores[headline], 3), row.label) for row in others[:3]]


def _scores_table(results: Results) -> Table:
    """Return our rows, then the published ones: protocol, stage and source stand beside every number."""
    names = [name for name in results.rows[0].scores if name in SHOWN_SCORES]
    columns = ["features", *names, "protocol", "stage", "stride", "source"]
    rows: list[list[Any]] = [
        [
            row.label,
            *(row.scores[name] for name in names),
            f"{row.preset} ({row.preset_hash})",
            "\u2013" if row.stage is None else str(row.stage),
            str(row.stride),
            _source(row),
        ]
        for row in results.rows
    ]
    empty = [None] * (len(names) - 1)
    rows += [
        [f"{p.label} (published)", p.score, *empty, p.protocol, p.stage, p.stride, p.source] for p in results.published
    ]
    return Table(columns, rows, digits=(None, *[3] * len(names), None, None, None, None), strong=frozenset({0}))


def _source(row: TableRow) -> str:
    parts = [f"{row.source} {row.facts.architecture or ''}".strip()]
    if row.source == "random":
        parts.append(f"mean of seeds {', '.join(map(str, row.seeds))}")
    if row.facts.weights_sha256:
        parts.append(f"weights {row.facts.weights_sha256[:12]}")
    return ", ".join(parts)


def _baselines_table(results: Results) -> Table | None:
    if not results.baselines:
        return None
    columns = ["against", f"{results.headline}: difference", "from", "to", "clips"]
    rows = [[b.against, b.mean, b.low, b.high, b.clips] for b in results.baselines]
    return Table(columns, rows, digits=(None, 3, 3, 3, None))


def _bars(results: Results) -> list[tuple[str, float, list[float]]]:
    headline = results.headline
    return [
        (row.label, row.scores[headline] or 0.0, [scores[headline] or 0.0 for scores in row.clips.values()])
        for row in results.rows
    ]


def _clips_table(results: Results) -> Table:
    clips = list(dict.fromkeys(clip for row in results.rows for clip in row.clips))
    body = [[clip, *(row.clips.get(clip, {}).get(results.headline) for row in results.rows)] for clip in clips]
    return Table(["clip", *(row.label for row in results.rows)], body, digits=(None, *[3] * len(results.rows)))


def _clip_chart(results: Results) -> str:
    """Return bars by clip, in the order of the first row's scores."""
    best_first = _best_first(results)
    bars = [(row.label, [row.clips.get(c, {}).get(results.headline) for c in best_first]) for row in results.rows]
    return clip_chart(best_first, bars, results.headline)


def _chosen(results: Results) -> list[tuple[str, str]]:
    """Return the best, the median and the worst clip of the first row (fewer where there are fewer)."""
    order = _best_first(results)
    if len(order) < 3:
        return list(zip(("best", "worst"), order, strict=False))
    return [("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1])]


def _best_first(results: Results) -> list[str]:
    clips = results.rows[0].clips
    return sorted(clips, key=lambda clip: -(clips[clip][results.headline] or 0.0))


def _pictures(storage: Storage, clip: str) -> dict[str, str]:
    """Return `data:` URIs of a clip's strip, animation and components; absent ones are left out."""
    found = {}
    for key, (suffix, kind) in PICTURES.items():
        content = storage.read_if_there(f"pictures/{clip}{suffix}")
        if content is not None:
            found[key] = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return found


def _times_table(results: Results) -> Table:
    parts = list(results.rows[0].seconds)
    rows = [[row.label, *row.seconds.values(), sum(row.seconds.values())] for row in results.rows]
    return Table(["features", *parts, "together"], rows, digits=(None, *[1] * (len(parts) + 1)))
