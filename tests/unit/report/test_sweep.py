"""The sweep page names the best trial and the failures, and its table has every trial."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from videomac.errors import StorageError
from videomac.report.sweep import write_sweep_report


def trial(mask_ratio: float, momentum: float, score: float | None) -> dict[str, Any]:
    return {
        "name": f"t_{mask_ratio}_{momentum}",
        "values": {"model.mask_ratio": mask_ratio, "optim.ema_momentum": [momentum, 1.0]},
        "status": "error" if score is None else "finished",
        "error": "worker lost" if score is None else None,
        "scores": {} if score is None else {"J&F-Mean": score, "J-Mean": score + 0.01},
        "run_folder": None if score is None else f"runs/sweep/t_{mask_ratio}_{momentum}",
        "seconds": 60.0,
    }


def page_of(folder: Path, trials: list[dict[str, Any]], best: str | None) -> str:
    outcome = {"name": "mask", "metric": "J&F-Mean", "best": best, "trials": trials, "versions": {"torch": "2.6"}}
    (folder / "results.json").write_text(json.dumps(outcome))
    html = Path(write_sweep_report(str(folder))).read_text(encoding="utf-8")
    return re.sub(r"data:image/[^\"]+", "data:", html)


def test_a_grid_has_a_heat_map_and_names_its_best_trial(tmp_path: Path) -> None:
    trials = [trial(0.75, 0.99, 0.61), trial(0.9, 0.99, 0.55), trial(0.75, 0.9, 0.5), trial(0.9, 0.9, None)]
    html = page_of(tmp_path, trials, "t_0.75_0.99")
    assert "<strong>t_0.75_0.99</strong> with J&amp;F-Mean 0.6100" in html
    assert "<code>model.mask_ratio=0.75</code>" in html
    assert "at each pair of values" in html
    assert "t_0.9_0.9 failed: worker lost" in html
    assert html.count("<tr") == 1 + len(trials)
    assert "4 min 00 s" in html


def test_one_key_gives_no_heat_map_and_no_score_gives_no_chart(tmp_path: Path) -> None:
    html = page_of(tmp_path, [trial(0.75, 0.99, 0.61), trial(0.9, 0.99, 0.55)], "t_0.75_0.99")
    assert "at each pair of values" not in html
    assert "by model.mask_ratio" in html
    html = page_of(tmp_path, [trial(0.75, 0.99, None)], None)
    assert "No trial has been scored yet" in html


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"results\.json: not there; videomac tune writes it"):
        write_sweep_report(str(tmp_path))
    (tmp_path / "results.json").write_text('{"stages_s": {}}')
    with pytest.raises(StorageError, match=r"results\.json: not a Results record: name: Field required"):
        write_sweep_report(str(tmp_path))
