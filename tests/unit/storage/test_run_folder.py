"""What a run folder holds stays readable whatever happens to its writer."""

from __future__ import annotations

import json

import pytest

from videomac.errors import StorageError
from videomac.records.metrics import ProbeLine
from videomac.storage import run_folder
from videomac.storage.run_folder import JsonLines, RunFolder


def test_half_a_line_of_a_killed_writer_does_not_spoil_the_next(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    JsonLines(folder, "metrics.jsonl").write(ProbeLine.model_validate({"step": 1, "probe/J": float("nan")}))
    with (folder.local / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')

    JsonLines(folder, "metrics.jsonl").write(ProbeLine(step=2))

    lines = (folder.local / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(lines[0]), json.loads(lines[2])] == [{"step": 1, "probe/J": None}, {"step": 2}]


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
        lines.write(ProbeLine(step=step))
        lines.flush()
    JsonLines(folder, "metrics.jsonl", silent=True).write(ProbeLine(step=3))
    found = (folder.read("metrics.jsonl") or b"").splitlines()
    assert [json.loads(line) for line in found] == [{"step": 1}, {"step": 2}]


def test_a_store_gets_lines_at_intervals_and_a_disk_at_once(folder, monkeypatch):
    lines = JsonLines(folder, "metrics.jsonl")
    lines.write(ProbeLine(step=1))
    assert (folder.read("metrics.jsonl") is None) is (folder.local is None)
    monkeypatch.setattr(run_folder, "UPLOAD_EVERY_S", 0.0)
    lines.write(ProbeLine(step=2))
    assert len((folder.read("metrics.jsonl") or b"").splitlines()) == 2


def test_a_disk_that_refuses_a_line_is_one_error(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    lines = JsonLines(folder, "metrics.jsonl")
    (tmp_path / "run").write_bytes(b"a file")
    with pytest.raises(StorageError, match=r"run/metrics\.jsonl: a file stands where a folder is expected"):
        lines.write(ProbeLine(step=1))
