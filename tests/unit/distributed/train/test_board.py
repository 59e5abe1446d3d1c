"""What workers post, and the signs of life that the driver watches."""

from __future__ import annotations

from videomac.distributed.train import board as board_module
from videomac.distributed.train.board import Board


def test_figures_are_replaced_and_what_probes_cost_and_notices_are_collected():
    board = Board()

    board.post({"stage": "a", "probe_s": 2.0, "notices": ["x"]})
    board.post({"stage": "b", "probe_s": 3.0, "probes": [{"probe/step": 4.0}]})
    board.post({"probes": [{"probe/step": 8.0}], "notices": ["y"]})

    assert board.read() == {
        "stage": "b", "probe_s": 5.0, "probes": [{"probe/step": 4.0}, {"probe/step": 8.0}], "notices": ["x", "y"]
    }  # fmt: skip


def test_silence_counts_from_the_last_sign_of_life_and_ends_with_the_work(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(board_module.time, "monotonic", lambda: now[0])
    board = Board()
    now[0] += 5
    assert board.silent_s() == 5
    board.pulse(working=True)
    now[0] += 3
    assert board.silent_s() == 3

    board.pulse(working=False)
    now[0] += 60

    assert board.silent_s() == 0
    board.pulse(working=True)  # a restart
    now[0] += 1
    assert board.silent_s() == 1
