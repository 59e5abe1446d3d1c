"""A run folder made by code in the formats that training and evaluation write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from videomac.records.evaluation import DataSet, Details, FeatureFacts, Results, TableRow

CONFIG = {
    "run": {"name": "made-by-code", "storage": "runs", "seed": 0},
    "data": {"manifest": "shards/manifest.json", "image_size": [160, 160]},
    "model": {"encoder": {"name": "convnextv2_atto"}, "mask_ratio": 0.75},
    "train": {"batch_size": 32, "steps": 200},
}
EVENTS = [
    {"event": "attempt", "time": 1.7e9, "step": 0, "attempt": 1, "rows": 0, "describes": "in words"},
    {"event": "bad_row", "time": 1.7e9, "step": 40, "g": 1207, "reason": "no_pair", "key": "a_clip"},
    {"event": "bad_row", "time": 1.7e9, "step": 50, "g": 1507, "reason": "no_pair", "key": "a_clip"},
    {"event": "attempt", "time": 1.7e9 + 120, "step": 100, "attempt": 2, "rows": 3200, "describes": "in words"},
]
LABELS = [("pretrained", "export"), ("random init", "random"), ("mean colour", "raw_colour")]


def metrics_line(step: int) -> dict[str, Any]:
    share, noise = step / 200, np.random.default_rng(step).normal(size=6)
    online = 0.62 + 0.33 * math.exp(-5 * share) + 0.015 * noise[0]
    target = 0.64 + 0.34 * math.exp(-4 * share) + 0.015 * noise[1]
    consistency = 0.02 + 0.1 * share * math.exp(-3 * share) + 0.003 * abs(noise[2])
    return {
        "step": step, "rows": step * 32, "time_s": step * 1.1, "loss": online + target + consistency,
        "loss_online": online, "loss_target": target, "loss_consistency": consistency,
        "lr": 3.75e-4 * min(1, share / 0.1) * (0.5 + 0.5 * math.cos(math.pi * share)),
        "momentum": 1 - 0.01 * (0.5 + 0.5 * math.cos(math.pi * share)), "grad_norm": 1.2 * math.exp(0.3 * noise[3]),
        "pairs_per_s": 29 + noise[4], "wait_share": abs(0.01 * noise[5]), "wait_share_total": 0.012,
        "eta_s": (200 - step) * 1.1, "memory_mb": 840.0 + 20 * share, "feature_std": 0.8 + 0.05 * share,
        "target_distance": 0.08 * math.exp(-2 * share), "bad_rows": 3, "skipped_steps": 0, "skipped": False,
    }  # fmt: skip


def scores(jaccard: float) -> dict[str, float | None]:
    return {"J-Mean": jaccard, "F-Mean": jaccard - 0.08, "J&F-Mean": jaccard - 0.04}


def evaluation() -> Results:
    rows = []
    for (label, source), mean in zip(LABELS, (0.75, 0.60, 0.68), strict=True):
        clips = {"dog": scores(mean - 0.1), "blackswan": scores(mean + 0.1)}
        rows.append(evaluation_row(label, source, scores(mean), clips))
    return Results(
        schema=1, task="davis", headline="J&F-Mean", preset="crw-240p", preset_hash="0123456789ab",
        dataset_hash="ba9876543210", preset_settings={"note": "short side 240"}, comparable=False,
        data=DataSet(root="davis", split="val", clips=("dog", "blackswan")), partial=False, failures=(),
        scores=rows[0].scores, rows=tuple(rows), baselines=(), published=(), config={"task": "davis"},
        config_hash="abc123abc123", commit="0123456", versions={"torch": "2.6"}, machine="2 x x86_64",
    )  # fmt: skip


def evaluation_row(
    label: str, source: str, totals: dict[str, float | None], clips: dict[str, dict[str, float | None]]
) -> TableRow:
    return TableRow(
        label=label, source=source, model=None, stage=None if source == "raw_colour" else 1, stride=8, seeds=(0,),
        baseline=False, facts=FeatureFacts(source=source), scores=totals, scores_by_seed=(totals,), clips=clips,
        details=Details(), seconds={"features": 1.0, "propagation": 2.0}, preset="crw-240p",
        preset_hash="0123456789ab", dataset_hash="ba9876543210",
    )  # fmt: skip


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_pictures(folder: Path, step: int, size: int = 32) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    arrays = {name: rng.integers(0, 256, (2, 2, size, size, 3), dtype=np.uint8) for name in ("input", "visible")}
    late = {name: np.full((2, 2, size, size, 3), min(step, 255), np.uint8) for name in ("online", "target")}
    np.savez_compressed(folder / f"step_{step:07d}.npz", **arrays, **late)


def write_propagation(folder: Path, clip: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    truth = np.zeros((3, 24, 40), np.uint8)
    truth[:, 6:18, 10:25] = 1
    predictions = {f"prediction_{i}": np.roll(truth, 2 * i, axis=2) for i in range(len(LABELS))}
    frames = np.full((3, 24, 40, 3), 90, np.uint8)
    np.savez_compressed(
        folder / f"{clip}.npz", frames=frames, frame_ids=np.array([0, 20, 40]), truth=truth, **predictions
    )


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[[], Path]:
    """Return a function that writes a complete, finished run and returns its folder."""

    def make() -> Path:
        folder = tmp_path / "made-by-code"
        for part in (folder / "export", folder / "evaluation"):
            part.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
        write_lines(folder / "metrics.jsonl", [metrics_line(step) for step in range(5, 201, 5)])
        write_lines(folder / "events.jsonl", EVENTS)
        for step in (100, 200):
            write_pictures(folder / "pictures", step)
        (folder / "evaluation" / "results.json").write_bytes(evaluation().to_json(indent=1))
        for clip in ("dog", "blackswan"):
            write_propagation(folder / "evaluation" / "pictures", clip)
        (folder / "export" / "card.json").write_text(json.dumps({"architecture": "convnextv2_atto", "step": 200}))
        results = {
            "stages_s": {"shards": 11.0, "pretrain": 215.4, "export": 1.2, "evaluate": 61.0},
            "first_stages_s": {"shards": 11.0, "pretrain": 215.4, "export": 1.2, "evaluate": 61.0},
            "config_hash": "abc123abc123", "commit": "0123456", "versions": {"torch": "2.6"},
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(results))
        return folder

    return make
