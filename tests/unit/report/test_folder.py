"""What is read of a run folder: by field, whatever else is in its files, and never in vain because of one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from videomac.records import metrics
from videomac.report import charts, summary
from videomac.report.folder import Reader, Settings, read_run

CONFIG = {
    "model": {"encoder": {"name": "resnet18", "a_later_key": 1}, "mask_ratio": 0.5},
    "data": {"image_size": [160, 192], "manifest": "m"},
    "train": {"batch_size": 8, "steps": None},
}


@pytest.mark.parametrize(("name", "tree"), [("config.yaml", CONFIG), ("quickstart.yaml", {"pretrain": CONFIG})])
def test_settings_are_found_in_a_run_and_in_a_quickstart(tmp_path: Path, name: str, tree: dict[str, object]) -> None:
    (tmp_path / name).write_text(yaml.safe_dump(tree))
    run = read_run(str(tmp_path))
    expected = {
        "encoder": "resnet18", "mask_ratio": 0.5, "image_size": (160, 192), "batch_size": 8, "steps": None
    }  # fmt: skip
    assert run.settings.model_dump() == expected
    assert run.config_text == (tmp_path / name).read_text()


@pytest.mark.parametrize("text", ["- 1", "model: {mask_ratio: high}", "model: [", ": :", "\0"])
def test_a_configuration_of_another_kind_is_named_and_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    run = read_run(str(tmp_path))
    assert run.settings == Settings()
    assert [line.partition(":")[0] for line in run.unreadable] == ["config.yaml"]


def test_shards_and_card_of_other_versions_are_read(make_run: Callable[[], Path]) -> None:
    folder = make_run()
    (folder / "shards").mkdir()
    manifest = {"version": 9, "samples": {"train": 3}, "seconds": 2.5, "rejected": {"too short": 1}}
    (folder / "shards" / "manifest.json").write_text(json.dumps(manifest))
    run = read_run(str(folder))
    assert (run.shards.samples, run.shards.seconds, run.shards.rejected) == ({"train": 3}, 2.5, {"too short": 1})
    assert run.card.versions == {}
    assert run.unreadable == []


def test_figures_are_the_finite_numbers_of_a_step(tmp_path: Path) -> None:
    lines = [
        '{"step": 2, "rows": 16, "loss": 0.5, "skipped": null, "a": "b", "flag": true, "nan": NaN}',
        '{"step": 1, "rows": 8, "loss": null}',
        '{"step": 2, "probe/mIoU": 0.25}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    run = read_run(str(tmp_path))
    assert [(one.step, one.values) for one in run.figures] == [
        (1, {"rows": 8}),
        (2, {"rows": 16, "loss": 0.5, "probe/mIoU": 0.25}),
    ]
    assert run.metrics == {"rows", "loss", "probe/mIoU"}
    assert (run.last_step, run.last("rows"), run.last("lr")) == (2, 16, None)
    steps, values = run.column("rows")
    assert (steps.tolist(), values.tolist()) == ([1, 2], [8, 16])


@pytest.mark.parametrize("line", ["[]", '"step"', '{"loss": 1}', '{"step": "1"}', "{", ""])
def test_a_line_that_is_not_one_of_metrics_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"step": 1}}\n')
    run = read_run(str(tmp_path))
    assert run.last_step == 1
    assert run.unreadable == (["metrics.jsonl: line 1: not a JSON object with a step"] if line else [])


def test_a_misspelt_metric_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="wait_shar: not a metric"):
        read_run(str(tmp_path)).last("wait_shar")


def test_every_metric_that_a_page_names_is_one() -> None:
    named = {*charts.SMALL, *charts.SCHEDULES, *charts.NOT_CHARTED, *(key for key, _, _ in charts.PARTS)}
    named |= {*summary.TRAINING, *summary.COUNTED, *summary.DATA_PATH}
    assert [name for name in named if not metrics.is_metric(name)] == []


def test_events_of_other_versions_are_kept_and_what_is_not_an_event_is_named(tmp_path: Path) -> None:
    lines = ['{"event": "attempt", "attempt": 2}', '{"event": "a_later_kind", "step": 3}', "{"]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    run = read_run(str(tmp_path))
    assert [(event.event, event.step) for event in run.events] == [("attempt", 0), ("a_later_kind", 3)]
    assert [line.partition(": not")[0] for line in run.unreadable] == ["events.jsonl: line 3"]


def test_names_are_those_right_in_a_folder(tmp_path: Path) -> None:
    for name in ("pictures/step_2.npz", "pictures/step_1/x.npz", "pictures/step_1.npz", "other/step_3.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / name, a=np.zeros(1))
    reader = Reader(str(tmp_path))
    assert reader.names("pictures", "step_*.npz") == ["pictures/step_1.npz", "pictures/step_2.npz"]
    assert reader.names("absent", "*") == []


def test_keys_are_those_of_an_object_only(tmp_path: Path) -> None:
    for name, content in (("object", '{"a": 1, "b": 2}'), ("list", "[[1, 2]]"), ("broken", "{")):
        (tmp_path / name).write_text(content)
    reader = Reader(str(tmp_path))
    assert reader.keys("object") == {"a", "b"}
    assert [reader.keys(name) for name in ("list", "broken", "absent")] == [set(), set(), set()]
