"""Files of JSON lines: complete whatever happens to their writer, and as cheap after a week as after a minute."""

from __future__ import annotations

import json
import threading

import pytest

from videomac.errors import StorageError
from videomac.records.metrics import ProbeLine
from videomac.storage import lines as lines_module
from videomac.storage.lines import PART_BYTES, JsonLines, appended_files, read_appended
from videomac.storage.run_folder import RunFolder

FILE = "metrics.jsonl"
URL = "memory://bucket/runs/run/metrics.jsonl"


@pytest.fixture(params=["local", "store"])
def folder(request, tmp_path):
    if request.param == "store":
        request.getfixturevalue("memory_store")
        return RunFolder("memory://bucket/runs/", "run")
    return RunFolder(str(tmp_path), "run")


@pytest.fixture
def store(memory_store):
    return memory_store.objects


@pytest.fixture
def remote(memory_store):
    return RunFolder("memory://bucket/runs/", "run")


def steps_in(folder) -> list[int]:
    return [json.loads(line)["step"] for line in (read_appended(folder.storage, FILE) or b"").splitlines()]


def test_half_a_line_of_a_killed_writer_does_not_spoil_the_next(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    JsonLines(folder, FILE).write(ProbeLine.model_validate({"step": 1, "probe/J": float("nan")}))
    with (folder.local / FILE).open("a") as file:
        file.write('{"step": 2, "lo')

    JsonLines(folder, FILE).write(ProbeLine(step=2))

    lines = (folder.local / FILE).read_text().splitlines()
    assert [json.loads(lines[0]), json.loads(lines[2])] == [{"step": 1, "probe/J": None}, {"step": 2}]


@pytest.mark.parametrize("closes", [True, False])
def test_lines_stay_in_order_over_writers_that_close_or_die(folder, closes):
    for step in (1, 2, 3):
        lines = JsonLines(folder, FILE)
        lines.write(ProbeLine(step=step))
        lines.flush()
        if closes:
            lines.close()
    JsonLines(folder, FILE, silent=True).write(ProbeLine(step=4))

    assert steps_in(folder) == [1, 2, 3]


def test_a_closed_file_is_one_object_that_any_tool_reads(remote, store):
    lines = JsonLines(remote, FILE)
    for step in range(3):
        lines.write(ProbeLine(step=step))
        lines.flush()
    assert list(store) == [f"{URL}.parts/000000000000000.jsonl"]

    lines.close()

    assert list(store) == [URL]
    assert [json.loads(line)["step"] for line in store[URL].splitlines()] == [0, 1, 2]


def test_a_writer_killed_while_closing_loses_and_doubles_nothing(remote, store):
    first = JsonLines(remote, FILE)
    first.write(ProbeLine(step=1))
    first.flush()
    store[URL] = store[f"{URL}.parts/000000000000000.jsonl"]  # written whole, and killed before the part was removed

    assert steps_in(remote) == [1]
    second = JsonLines(remote, FILE)
    second.write(ProbeLine(step=2))
    second.flush()
    assert steps_in(remote) == [1, 2]
    second.close()
    assert (list(store), steps_in(remote)) == ([URL], [1, 2])


def test_an_upload_costs_as_much_after_many_lines_as_after_few(remote, store, monkeypatch):
    """20,000 lines with an upload every 100: bytes per upload, size of a part and number of objects are bounded."""
    sent: list[int] = []
    write = remote.storage.write

    def counted(name, content):
        sent.append(len(content))
        write(name, content)

    monkeypatch.setattr(remote.storage, "write", counted)
    lines = JsonLines(remote, FILE)
    for step in range(20_000):
        lines.write(ProbeLine.model_validate({"step": step, "probe/J": 0.123456789}))
        if step % 100 == 99:
            lines.flush()
    total = sum(map(len, store.values()))

    assert len(store) <= total / PART_BYTES + 1
    assert max(sent) < PART_BYTES + 100 * 60
    tenth = len(sent) // 10
    assert sum(sent[-tenth:]) < 2 * sum(sent[tenth : 2 * tenth])
    assert steps_in(remote) == list(range(20_000))


def test_starting_costs_the_same_requests_whatever_was_written(remote):
    counts = []
    for _ in range(3):
        before = remote.storage.counts["requests"]
        lines = JsonLines(remote, FILE)
        counts.append(remote.storage.counts["requests"] - before)
        for step in range(3000):
            lines.write(ProbeLine.model_validate({"step": step, "probe/J": 0.123456789}))
            if step % 1000 == 999:
                lines.flush()

    assert counts[1] == counts[2] <= counts[0] + 1


def test_a_store_that_is_away_holds_up_nobody_before_the_next_checkpoint(remote, memory_store, monkeypatch):
    monkeypatch.setattr(lines_module, "UPLOAD_EVERY_S", 0.0)
    away = threading.Event()
    write = remote.storage.write

    def stuck(name, content):
        assert away.wait(10)
        raise StorageError("no answer")

    monkeypatch.setattr(remote.storage, "write", stuck)
    lines = JsonLines(remote, FILE)
    for step in range(5):
        lines.write(ProbeLine(step=step))  # returns though the upload in the background stands still
    away.set()
    with pytest.raises(StorageError, match="no answer"):
        lines.flush()
    monkeypatch.setattr(remote.storage, "write", write)

    lines.flush()

    assert steps_in(remote) == [0, 1, 2, 3, 4]


def test_a_store_gets_lines_at_intervals_without_a_flush(remote, monkeypatch):
    lines = JsonLines(remote, FILE)
    lines.write(ProbeLine(step=1))
    assert steps_in(remote) == []
    monkeypatch.setattr(lines_module, "UPLOAD_EVERY_S", 0.0)

    lines.write(ProbeLine(step=2))
    lines._end._pending.result(10)

    assert steps_in(remote) == [1, 2]


def test_a_disk_that_refuses_a_line_is_one_error(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    lines = JsonLines(folder, FILE)
    (tmp_path / "run").write_bytes(b"a file")
    with pytest.raises(StorageError, match=r"run/metrics\.jsonl: a file stands where a folder is expected"):
        lines.write(ProbeLine(step=1))


def test_parts_stand_for_their_file():
    names = ["a.jsonl.parts/000000000000000.jsonl", "a.jsonl.parts/000000000000065.jsonl", "b.jsonl"]

    assert appended_files(names) == ["a.jsonl", "b.jsonl"]
