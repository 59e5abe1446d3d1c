"""The page of an evaluation, made from its folder: the table beside published values, bars, clips, features."""

from __future__ import annotations

import base64
import json
from typing import Any

from videomac.errors import StorageError
from videomac.report.charts import clip_chart, score_chart
from videomac.report.page import Table, render, write_page
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage
from videomac.text import number_text

SHOWN_SCORES = ("J&F-Mean", "J-Mean", "F-Mean", "mIoU", "PCK@0.1", "PCK@0.2", "PCK@0.5")
"""Of all scores those in the table, which has to leave room for protocol and source; results.json has all."""


def write_evaluation_report(folder: str) -> str:
    """Writes `report.html` into an evaluation's folder (local or URL); returns its path.

    Raises:
        StorageError: there is no `results.json`, or the page cannot be written.
    """
    storage = Storage(folder, advice=Advice(missing="make it with videomac evaluate"))
    try:
        results = json.loads(storage.read("results.json"))
    except ValueError as error:
        raise StorageError(f"{folder}/results.json: not JSON ({error}); write it again: videomac evaluate") from error
    chosen = _chosen(results)
    context = {
        "name": results["rows"][0]["label"],
        "results": results,
        "protocol": _protocol(results),
        "tiles": _tiles(results),
        "scores": _scores_table(results),
        "baselines": _baselines_table(results),
        "score_chart": score_chart(_bars(results), results["headline"]),
        "clip_chart": _clip_chart(results),
        "clip_scores": _clips_table(results),
        "clips": [(why, clip, _pictures(storage, clip)) for why, clip in chosen],
        "failures": Table(
            ["features", "clip", "error"], [[f["features"], f["clip"], f["error"]] for f in results["failures"]]
        ),
        "times": _times_table(results),
        "settings": json.dumps({"preset": results["preset_settings"], "config": results["config"]}, indent=2),
        "origin": _origin(results),
    }
    return write_page(f"{folder}/report.html", render("evaluation.html.j2", **context))


def _protocol(results: dict[str, Any]) -> str:
    settings = results["preset_settings"]
    note = f" {settings['note'][:1].upper()}{settings['note'][1:]}." if settings["note"] else ""
    return (
        f"Task {results['task']}, preset {results['preset']} ({results['preset_hash']}), "
        f"data set {results['dataset_hash']}, {len(results['data']['clips'])} clips.{note}"
    )


def _tiles(results: dict[str, Any]) -> list[tuple[str, ...]]:
    headline = results["headline"]
    ours, *others = results["rows"]
    tiles: list[tuple[str, ...]] = [(number_text(ours["scores"][headline], 3), f"{headline}, {ours['label']}")]
    return tiles + [(number_text(row["scores"][headline], 3), row["label"]) for row in others[:3]]


def _scores_table(results: dict[str, Any]) -> Table:
    """Our rows, then the published ones: protocol, stage and source stand beside every number."""
    names = [name for name in results["rows"][0]["scores"] if name in SHOWN_SCORES]
    columns = ["features", *names, "protocol", "stage", "stride", "source"]
    rows: list[list[Any]] = [
        [
            row["label"],
            *(row["scores"][name] for name in names),
            f"{row['preset']} ({row['preset_hash']})",
            "\u2013" if row["stage"] is None else str(row["stage"]),
            str(row["stride"]),
            _source(row),
        ]
        for row in results["rows"]
    ]
    empty = [None] * (len(names) - 1)
    rows += [
        [f"{p['label']} (published)", p["score"], *empty, p["protocol"], p["stage"], p["stride"], p["source"]]
        for p in results["published"]
    ]
    return Table(columns, rows, digits=(None, *[3] * len(names), None, None, None, None), strong=frozenset({0}))


def _source(row: dict[str, Any]) -> str:
    weights = row["facts"].get("weights_sha256")
    seeds = f", mean of seeds {', '.join(map(str, row['seeds']))}" if row["source"] == "random" else ""
    return f"{row['source']} {row['facts'].get('architecture', '')}{seeds}" + (
        f", weights {weights[:12]}" if weights else ""
    )


def _baselines_table(results: dict[str, Any]) -> Table | None:
    if not results["baselines"]:
        return None
    columns = ["against", f"{results['headline']}: difference", "from", "to", "clips"]
    rows = [[b["against"], b["mean"], b["low"], b["high"], b["clips"]] for b in results["baselines"]]
    return Table(columns, rows, digits=(None, 3, 3, 3, None))


def _bars(results: dict[str, Any]) -> list[tuple[str, float, list[float]]]:
    headline = results["headline"]
    return [
        (r["label"], r["scores"][headline] or 0.0, [c[headline] or 0.0 for c in r["clips"].values()])
        for r in results["rows"]
    ]


def _clips_table(results: dict[str, Any]) -> Table:
    headline, rows = results["headline"], results["rows"]
    clips = list(dict.fromkeys(clip for row in rows for clip in row["clips"]))
    body = [[clip, *(row["clips"].get(clip, {}).get(headline) for row in rows)] for clip in clips]
    return Table(["clip", *(row["label"] for row in rows)], body, digits=(None, *[3] * len(rows)))


def _clip_chart(results: dict[str, Any]) -> str:
    """Bars by clip, in the order of the first row's scores."""
    headline, rows = results["headline"], results["rows"]
    best_first = sorted(rows[0]["clips"], key=lambda clip: -(rows[0]["clips"][clip][headline] or 0.0))
    bars = [(row["label"], [row["clips"].get(clip, {}).get(headline) for clip in best_first]) for row in rows]
    return clip_chart(best_first, bars, headline)


def _chosen(results: dict[str, Any]) -> list[tuple[str, str]]:
    """The best, the median and the worst clip of the first row (fewer where there are fewer)."""
    scores = results["rows"][0]["clips"]
    order = sorted(scores, key=lambda clip: -(scores[clip][results["headline"]] or 0.0))
    if len(order) < 3:
        return list(zip(("best", "worst"), order, strict=False))
    return [("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1])]


def _pictures(storage: Storage, clip: str) -> dict[str, str]:
    """`data:` URIs of a clip's strip, animation and components; absent ones are left out."""
    found = {}
    for key, name, kind in (
        ("strip", ".jpg", "image/jpeg"),
        ("video", ".mp4", "video/mp4"),
        ("pca", ".pca.jpg", "image/jpeg"),
    ):
        content = storage.read_if_there(f"pictures/{clip}{name}")
        if content is not None:
            found[key] = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return found


def _times_table(results: dict[str, Any]) -> Table:
    parts = list(results["rows"][0]["seconds"])
    rows = [[row["label"], *row["seconds"].values(), sum(row["seconds"].values())] for row in results["rows"]]
    return Table(["features", *parts, "together"], rows, digits=(None, *[1] * (len(parts) + 1)))


def _origin(results: dict[str, Any]) -> str:
    parts = [f"config {results['config_hash']}", f"commit {results['commit']}", str(results["machine"])]
    return " · ".join(parts + [f"{name} {version}" for name, version in results["versions"].items()])
