"""What rank 0 writes of an attempt, and that the other ranks write nothing."""

from __future__ import annotations

import json

import pytest

from tests.unit.distributed.train.boards import LocalBoard
from tests.unit.pretrain.conftest import make_settings
from tests.unit.records.test_metrics import OLD
from videomac.distributed.train import records as records_module
from videomac.distributed.train.records import Records
from videomac.errors import TrainingError
from videomac.pretrain.writers import Writer
from videomac.records import events
from videomac.records.metrics import MetricsLine, parse_line


class Remembering(Writer):
    """Keeps figures; fails if told so."""

    def __init__(self) -> None:
        self.figures, self.broken = {}, False

    def scalars(self, step, values) -> None:
        if self.broken:
            raise ConnectionError("server down")
        self.figures[step] = values


@pytest.fixture
def writer(monkeypatch):
    writer = Remembering()
    monkeypatch.setattr(records_module, "open_writers", lambda settings, folder: [writer])
    return writer


@pytest.fixture
def line() -> MetricsLine:
    found = parse_line(OLD.read_text().splitlines()[-1], "metrics.jsonl")
    assert isinstance(found, MetricsLine)
    return found


def settings_in(tmp_path, **changes):
    return make_settings(run__storage=str(tmp_path), **changes)


def lines(tmp_path, name):
    path = tmp_path / "test" / name
    return [json.loads(content) for content in path.read_text().splitlines()] if path.exists() else []


def test_a_line_goes_to_file_writers_and_screen(tmp_path, writer, line):
    board = LocalBoard()

    Records(settings_in(tmp_path), board, leads=True).line(line, steps=40)

    assert lines(tmp_path, "metrics.jsonl") == [json.loads(line.to_json())]
    assert writer.figures == {4: line.figures()}
    assert board.read()["progress"] == {
        "step": 4, "steps": 40, "loss": line.loss, "pairs_per_s": line.pairs_per_s, "wait_share": line.wait_share,
        "eta_s": 0.0,
    }  # fmt: skip


def test_other_ranks_write_and_show_nothing(tmp_path, writer, line):
    board = LocalBoard()
    records = Records(settings_in(tmp_path), board, leads=False)

    records.event(events.DamagedCheckpoint(message="damaged"))
    records.show({"stage": "training"})
    records.close()

    assert lines(tmp_path, "events.jsonl") == board.posts == []


def test_events_get_the_time_and_the_step_of_now(tmp_path, writer):
    records = Records(settings_in(tmp_path), LocalBoard(), leads=True)
    records.step = 7

    records.event(events.BadRow(g=1, reason="no_pair", key="clip"))

    (event,) = lines(tmp_path, "events.jsonl")
    assert (event["event"], event["step"], event["g"]) == ("bad_row", 7, 1)
    assert event["time"] > 1e9


def test_a_writer_whose_server_is_down_is_given_up_once(tmp_path, writer, line):
    writer.broken = True
    records, board = Records(settings_in(tmp_path), LocalBoard(), leads=True), LocalBoard()
    records._board = board

    records.line(line, steps=40)
    records.line(line, steps=40)

    (event,) = lines(tmp_path, "events.jsonl")
    assert (event["event"], event["writer"], event["message"]) == ("writer_lost", "Remembering", "server down")
    assert board.read()["notices"] == ["pretrain: Remembering failed and gets no more metrics (server down)"]
    assert len(lines(tmp_path, "metrics.jsonl")) == 2


def test_the_newest_probe_since_the_last_line_joins_it(tmp_path, writer, line):
    board = LocalBoard()
    probe = {"evaluate": {"preset": "crw-240p", "data": {"root": "samples://davis"}}}
    records = Records(settings_in(tmp_path, probe=probe), board, leads=True)
    board.post({"probes": [{"probe/step": 2.0}, {"probe/step": 3.0, "probe/J&F-Mean": 0.5}]})

    records.line(line, steps=40)
    records.line(line, steps=40)

    first, second = lines(tmp_path, "metrics.jsonl")
    assert (first["probe/step"], first["probe/J&F-Mean"]) == (3.0, 0.5)
    assert "probe/step" not in second


def test_the_reason_to_stop_names_the_last_good_checkpoint(tmp_path, writer):
    records = Records(settings_in(tmp_path), LocalBoard(), leads=True)
    records.last_checkpoint = "step_0000004"

    message = records.stopped(TrainingError("loss nan"))

    assert message == "loss nan; last good checkpoint: step_0000004"
    assert lines(tmp_path, "events.jsonl")[0].items() >= {"error": "TrainingError", "message": message}.items()
