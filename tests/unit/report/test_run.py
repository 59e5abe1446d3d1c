"""The run page of complete, unfinished, empty and damaged run folders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from videomac.errors import StorageError
from videomac.records.quickstart import Summary
from videomac.report import charts
from videomac.report.folder import read_run
from videomac.report.run import write_run_report
from videomac.report.summary import summarise
from videomac.storage.copies import upload_folder


def page_of(folder: Path) -> str:
    html = Path(write_run_report(str(folder))).read_text(encoding="utf-8")
    return re.sub(r"data:image/[^\"]+", "data:", html)


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the charts, which take most of the time of a page."""
    for name in ("loss_charts", "small_charts"):
        monkeypatch.setattr(charts, name, lambda run: [])
    monkeypatch.setattr(charts, "score_chart", lambda rows, measure: "data:,")


def test_a_finished_run_shows_everything(make_run: Callable[[], Path]) -> None:
    html = page_of(make_run())
    for expected in (
        "finished", "convnextv2_atto", "0.710", "+0.150", "blackswan", "online network", "target network",
        "the pictures undo this with the true mean and variance", "total", "288.6", "of that waiting for data",
        "pairs not read: no pair", "2023-11-14\u00a022:15:20", "mask_ratio: 0.75", "abc123abc123",
    ):  # fmt: skip
        assert expected in html, expected
    assert 'class="missing"' not in html


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("config.yaml", "config.yaml is missing"),
        ("events.jsonl", "events.jsonl is missing"),
        ("pictures/step_0000100.npz pictures/step_0000200.npz", "No reconstructions yet"),
        ("results.json", "No times of stages: results.json is missing"),
        ("evaluation/results.json", "Not scored yet"),
        ("export/card.json", "Nothing exported yet"),
    ],
)
@pytest.mark.usefixtures("without_charts")
def test_a_missing_part_is_named(make_run: Callable[[], Path], part: str, says: str) -> None:
    folder = make_run()
    for name in part.split():
        (folder / name).unlink()
    assert says in page_of(folder)


def test_an_empty_folder_gives_a_page_and_a_missing_one_an_error(tmp_path: Path) -> None:
    html = page_of(tmp_path)
    assert "no steps yet" in html
    assert "metrics.jsonl is missing" in html
    with pytest.raises(StorageError, match="no such folder"):
        write_run_report(str(tmp_path / "absent"))


@pytest.mark.usefixtures("without_charts")
def test_a_running_run_says_where_it_is(make_run: Callable[[], Path]) -> None:
    folder = make_run()
    (folder / "results.json").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[:20]
    (folder / "metrics.jsonl").write_text("".join(lines) + '{"step": 105, "lo')
    html = page_of(folder)
    assert "step 100 of 200" in html
    assert "1 min 50 s left" in html
    assert "Cannot be read" not in html, "a line that is still being written is not a mistake"


@pytest.mark.usefixtures("without_charts")
def test_a_stopped_run_says_why_until_it_is_restarted(make_run: Callable[[], Path]) -> None:
    folder = make_run()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "stopped", "step": 200, "error": "DataError", "message": "loss is nan at step 201"}\n')
    html = page_of(folder)
    assert "stopped at step 200" in html
    assert "The run stopped: loss is nan at step 201" in html
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "attempt", "step": 180, "attempt": 3, "rows": 5760, "describes": "in words"}\n')
    assert "The run stopped" not in page_of(folder)


@pytest.mark.usefixtures("without_charts")
def test_damage_is_named_and_the_rest_is_shown(make_run: Callable[[], Path]) -> None:
    folder = make_run()
    (folder / "evaluation" / "results.json").write_text("{")
    (folder / "pictures" / "step_0000200.npz").write_bytes(b"PK\x03\x04 half")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5\n')
    html = page_of(folder)
    assert html.count("Cannot be read") == 3
    assert "metrics.jsonl: line 41: not a JSON object with a step" in html
    assert "After step 100." in html
    assert "loss at step 200" in html


@pytest.mark.usefixtures("without_charts")
def test_nothing_in_a_run_folder_is_unpickled(make_run: Callable[[], Path]) -> None:
    folder = make_run()
    arrays = dict.fromkeys(("input", "visible", "online", "target"), np.array([{"a": 1}], dtype=object))
    np.savez(folder / "pictures" / "step_0000200.npz", **arrays)
    assert "Object arrays cannot be loaded" in page_of(folder)


def test_the_last_line_of_a_repeated_step_counts(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 9.0}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": None}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    steps, losses = read_run(str(tmp_path)).column("loss")
    assert steps.tolist() == [1, 2]
    assert losses.tolist() == [3.0, 2.0]


@pytest.mark.usefixtures("without_charts")
def test_a_run_in_an_object_store(make_run: Callable[[], Path], memory_store) -> None:
    upload_folder(make_run(), "memory://bucket/runs/stored")
    assert write_run_report("memory://bucket/runs/stored") == "memory://bucket/runs/stored/report.html"
    assert b"online network" in memory_store.objects["memory://bucket/runs/stored/report.html"]


def test_a_metric_that_the_page_does_not_know_gets_a_chart(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "held_out_loss": 0.5, "skipped": false}\n')
    assert [alt for _, alt in charts.small_charts(read_run(str(tmp_path)))] == ["held out loss by step"]


def test_smoothing_keeps_lines_and_levels_and_ignores_gaps() -> None:
    line = np.linspace(0, 1, 50)
    assert charts.smoothed(line, 2.0)[10:-10] == pytest.approx(line[10:-10])
    level = np.full(50, 3.0)
    level[20] = np.nan
    assert charts.smoothed(level, 2.0) == pytest.approx(np.full(50, 3.0))
    assert np.isnan(charts.smoothed(np.array([np.nan]), 1.0)).all()


def test_a_long_run_has_a_page_as_small_as_a_short_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("short", 400), ("long", 20_000)):
        (tmp_path / name).mkdir()
        lines = [{"step": i, "loss": float(x), "loss_online": 0.5} for i, x in enumerate(rng.random(count))]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    short, long = (Path(write_run_report(str(tmp_path / name))).stat().st_size for name in ("short", "long"))
    assert long < 2.5 * short


def test_the_summary_has_the_numbers_of_all_stages(make_run: Callable[[], Path]) -> None:
    found = summarise(str(make_run()))
    assert found.training["rows"] == 6400
    assert found.data["pairs not read: no pair"] == 2
    assert found.data["clips with a pair that could not be read"] == 1
    assert found.data["restarts"] == 1
    parts = found.ms_per_pair
    assert parts["training"] == pytest.approx(parts["of that waiting for data"] + parts["of that computing"])
    assert [row.label for row in found.features] == ["pretrained", "random init", "mean colour"]
    assert Summary.from_json(found.to_json(), "results.json") == found
