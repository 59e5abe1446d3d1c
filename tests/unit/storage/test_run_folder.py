"""What a run folder holds stays readable whatever happens to its writer."""

from __future__ import annotations

import json

import pytest

from tests.unit.pretrain.conftest import make_batch
from videomac.errors import StorageError
from videomac.pretrain.ledger import Ledger, read_ledger
from videomac.storage import run_folder
from videomac.storage.run_folder import JsonLines, RunFolder


def rows_of(steps):
    return {step: sorted(g for line in lines for g in line["g"]) for step, lines in steps.items()}


def test_half_a_line_of_a_killed_writer_does_not_spoil_the_next(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    JsonLines(folder, "metrics.jsonl").write({"step": 1, "loss": float("nan")})
    with (folder.local / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')

    JsonLines(folder, "metrics.jsonl").write({"step": 2})

    lines = (folder.local / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(lines[0]), json.loads(lines[2])] == [{"step": 1, "loss": None}, {"step": 2}]


def test_the_ledger_counts_each_step_once_over_attempts_and_workers(tmp_path):
    """Two workers reach step 3, the checkpoint is of step 2; one worker does steps 3 and 4."""
    folder = RunFolder(str(tmp_path), "run")
    for rank in (0, 1):
        ledger = Ledger(folder, 1, rank, start_step=0)
        for step in (1, 2, 3):
            ledger.record(step, [make_batch(range(step * 4 + 2 * rank, step * 4 + 2 * rank + 2))])
            if step == 2:
                ledger.flush()
        ledger.flush()
    second = Ledger(folder, 2, 0, start_step=2)
    second.record(3, [make_batch(range(12, 16), bad=(13,))])
    second.record(4, [make_batch([16, 17, -1, -1])])
    second.flush()

    steps = read_ledger(folder)

    assert rows_of(steps) == {1: [4, 5, 6, 7], 2: [8, 9, 10, 11], 3: [12, 13, 14, 15], 4: [16, 17]}
    assert steps[3][0]["bad"] == [{"g": 13, "code": 2, "key": "clip13"}]


def test_a_missing_ledger_is_empty(tmp_path):
    assert read_ledger(RunFolder(str(tmp_path), "run")) == {}


@pytest.fixture(params=["local", "store"])
def folder(request, tmp_path):
    if request.param == "store":
        request.getfixturevalue("memory_store")
        return RunFolder("memory://bucket/runs/", "run")
    return RunFolder(str(tmp_path), "run")


def test_files_of_a_run_come_and_go_by_name(folder, tmp_path):
    assert folder.read("probes/a.json") is None
    assert folder.names("probes") == []
    folder.write("probes/b.json", b"b")
    (tmp_path / "a.json").write_bytes(b"a")
    folder.upload("probes/a.json", tmp_path / "a.json")
    assert folder.names("probes") == ["a.json", "b.json"]
    assert folder.read("probes/a.json") == b"a"
    folder.remove("probes/a.json")
    folder.remove("probes/a.json")
    assert folder.names("probes") == ["b.json"]


def test_lines_are_kept_in_order_over_writers(folder):
    for step in (1, 2):
        lines = JsonLines(folder, "metrics.jsonl")
        lines.write({"step": step})
        lines.flush()
    JsonLines(folder, "metrics.jsonl", silent=True).write({"step": 3})
    found = (folder.read("metrics.jsonl") or b"").splitlines()
    assert [json.loads(line) for line in found] == [{"step": 1}, {"step": 2}]


def test_a_store_gets_lines_at_intervals_and_a_disk_at_once(folder, monkeypatch):
    lines = JsonLines(folder, "metrics.jsonl")
    lines.write({"step": 1})
    assert (folder.read("metrics.jsonl") is None) is (folder.local is None)
    monkeypatch.setattr(run_folder, "UPLOAD_EVERY_S", 0.0)
    lines.write({"step": 2})
    assert len((folder.read("metrics.jsonl") or b"").splitlines()) == 2


def test_a_disk_that_refuses_a_line_is_one_error(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    lines = JsonLines(folder, "metrics.jsonl")
    (tmp_path / "run").write_bytes(b"a file")
    with pytest.raises(StorageError, match=r"run/metrics\.jsonl: a file stands where a folder is expected"):
        lines.write({"step": 1})
