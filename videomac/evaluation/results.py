"""What an evaluation leaves in its folder: a record and predictions per clip, `results.json`, a table on the screen."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from videomac import config
from videomac.errors import EvaluationError
from videomac.evaluation.candidates import Row
from videomac.facts.presets import Preset
from videomac.facts.provenance import provenance
from videomac.facts.tasks import TASKS
from videomac.propagation import raw, summary
from videomac.propagation.clips import Clip, MaskClip
from videomac.propagation.load import identify
from videomac.propagation.published_scores import published_values
from videomac.storage.checksums import sha256_of
from videomac.storage.copies import read_if_there, write_file

SCHEMA = 1

Scored = dict[tuple[str, int], dict[str, dict[str, Any]]]
"""(label, seed) -> clip -> record."""


def job_key(settings: config.Evaluate, preset: Preset, row: Row, seed: int, clip: Clip) -> dict[str, Any]:
    """What a clip's scores depend on; a finished clip is taken over if all of it is the same."""
    return {
        "schema": SCHEMA,
        "task": settings.task,
        "preset_hash": preset.hash(),
        "clip": clip.digest(),
        "features": identify(row.source, row.stage, seed, settings.stride_reduction).to_plain(),
    }


def read_clip_record(out: str, slug: str, seed: int, clip: str, key: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a clip finished under the same key, else None."""
    content = read_if_there(f"{out}/clips/{slug}/{seed}/{clip}.json")
    try:
        record = json.loads(content or b"{}")
    except ValueError:
        return None
    return record if record.get("key") == key else None


def write_clip(out: str, slug: str, seed: int, clip: Clip, prediction: np.ndarray, record: dict[str, Any]) -> None:
    """Writes a clip's predictions (indexed PNGs, or key points as JSON), then its record, which marks it finished."""
    place = f"{out}/predictions/{slug}/{seed}/{clip.name}"
    names = clip.frames.names[clip.start :]
    if isinstance(clip, MaskClip):
        for name, ids_hw in zip(names, prediction, strict=True):
            write_file(f"{place}/{name}.png", _indexed_png(ids_hw))
    else:
        points = {name: [_point(xy) for xy in xy_j2] for name, xy_j2 in zip(names, prediction, strict=False)}
        document = {"joints": clip.joints, "skeleton": clip.edges, "frames": points}
        write_file(f"{place}.json", json.dumps(document).encode())
    write_file(f"{out}/clips/{slug}/{seed}/{clip.name}.json", json.dumps(record).encode())


def assemble(
    settings: config.Evaluate,
    preset: Preset,
    rows: list[Row],
    clips: dict[str, Clip],
    scored: Scored,
    failures: list[dict[str, Any]],
) -> dict[str, Any]:
    """What `results.json` holds.

    Raises:
        EvaluationError: not one clip was scored.
    """
    if not any(_common(row, scored) for row in rows):
        raise EvaluationError(f"{settings.data.root}: no clip could be scored: {failures[0]['error']}")
    data_hash = sha256_of("".join(clip.digest() for clip in clips.values()).encode())[:12]
    under = {"preset": preset.name, "preset_hash": preset.hash(), "dataset_hash": data_hash}
    table = [{**_row(settings, row, scored), **under} for row in rows if _common(row, scored)]
    first = table[0] if table and table[0]["label"] == rows[0].label else None
    headline = TASKS[settings.task].headline
    return {
        "schema": SCHEMA,
        "task": settings.task,
        "headline": headline,
        **under,
        "preset_settings": preset.describe(),
        "comparable": preset.comparable,
        "data": {"root": settings.data.root, "split": settings.data.split, "clips": list(clips)},
        "partial": bool(failures),
        "failures": failures,
        "scores": first["scores"] if first else {},
        "rows": table,
        "baselines": _baselines(table, headline) if first else [],
        "published": published_values(settings.task),
        "config": settings.model_dump(mode="json"),
        "config_hash": settings.config_hash(),
        **provenance(),
    }


def write(out: str, outcome: dict[str, Any]) -> None:
    """Writes `results.json` at once."""
    write_file(f"{out}/results.json", json.dumps(_finite(outcome), indent=1, allow_nan=False).encode())


def _finite(value: Any) -> Any:
    """JSON has no NaN: a score that is not defined (no class, no point) becomes null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(outcome: dict[str, Any]) -> None:
    """The table of scores on the screen."""
    names = list(outcome["rows"][0]["scores"])[:5]
    title = f"{outcome['task']}, preset {outcome['preset']} ({outcome['preset_hash']})"
    if outcome["partial"]:
        title += f" - PARTIAL: {len(outcome['failures'])} not scored"
    table = Table("features", "stage", *names, title=title)
    for row in outcome["rows"]:
        stage = "-" if row["stage"] is None else str(row["stage"])
        table.add_row(row["label"], stage, *(f"{row['scores'][name]:.3f}" for name in names))
    Console().print(table)
    for baseline in outcome["baselines"]:
        if baseline["mean"] is None:
            print(f"{outcome['headline']} against {baseline['against']}: no clip in common", flush=True)
            continue
        print(
            f"{outcome['headline']} against {baseline['against']}: {baseline['mean']:+.3f} "
            f"[{baseline['low']:+.3f}, {baseline['high']:+.3f}], {baseline['clips']} clips, 95 % bootstrap",
            flush=True,
        )


def _row(settings: config.Evaluate, row: Row, scored: Scored) -> dict[str, Any]:
    by_seed, common = [scored[row.label, seed] for seed in row.seeds], _common(row, scored)
    totals = [summary.total(settings.task, {clip: clips[clip]["parts"] for clip in common}) for clips in by_seed]
    facts = next(iter(by_seed[0].values()))["facts"]
    return {
        "label": row.label,
        "source": row.source.source,
        "model": row.source.model,
        "stage": facts.get("stage"),
        "stride": facts.get("stride", raw.SITE_PX),
        "seeds": list(row.seeds),
        "baseline": row.baseline,
        "facts": facts,
        "scores": summary.mean_of([scores for scores, _ in totals]),
        "scores_by_seed": [scores for scores, _ in totals],
        "clips": {clip: summary.mean_of([clips[clip]["scores"] for clips in by_seed]) for clip in common},
        "details": totals[0][1],
        "seconds": summary.mean_of([r["seconds"] for clips in by_seed for r in clips.values()]),
    }


def _common(row: Row, scored: Scored) -> list[str]:
    """Clips that were scored with every seed of a row."""
    first, *others = (scored.get((row.label, seed), {}) for seed in row.seeds)
    return [clip for clip in first if all(clip in clips for clips in others)]


def _baselines(table: list[dict[str, Any]], headline: str) -> list[dict[str, Any]]:
    ours = {clip: scores[headline] for clip, scores in table[0]["clips"].items()}
    return [
        {
            "against": row["label"],
            "metric": headline,
            **summary.paired_difference(ours, {clip: scores[headline] for clip, scores in row["clips"].items()}),
        }
        for row in table[1:]
        if row["baseline"]
    ]


def _indexed_png(ids_hw: np.ndarray) -> bytes:
    image = Image.fromarray(ids_hw, mode="P")
    image.putpalette(_davis_palette())
    stream = io.BytesIO()
    image.save(stream, format="png")
    return stream.getvalue()


def _davis_palette() -> list[int]:
    """The bit-interleaved colour map of PASCAL VOC, which DAVIS uses as well."""
    colours = []
    for index in range(256):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                rgb[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
        colours += rgb
    return colours


def _point(xy: np.ndarray) -> list[float] | None:
    return None if np.isnan(xy).any() else [round(float(v), 2) for v in xy]
