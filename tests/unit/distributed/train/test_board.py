"""The line that people watch, and the signs of life that the driver watches."""

from __future__ import annotations

from videomac.distributed.train import board as progress


def test_the_line_says_stage_step_loss_speed_waiting_and_time_left():
    figures = {
        "stage": "pretrain: training", "step": 5, "steps": 200, "loss": 1.23456, "pairs_per_s": 42.0,
        "wait_share": 0.031, "eta_s": 4000.0, "probe": "J&F-Mean 0.700 (step_0000004)",
    }  # fmt: skip

    assert progress.line(figures) == (
        "pretrain: training | step 5/200 | loss 1.2346 | 42.0 pairs/s | waiting for data 3% | 1:06:40 left | "
        "probe J&F-Mean 0.700 (step_0000004)"
    )
    assert progress.line({}) == "pretrain: starting workers and decode actors"


def test_a_notice_is_said_once_also_when_the_stage_has_changed_since():
    board, said = progress.Board.__ray_metadata__.modified_class(), []
    notices = progress._Notices(said.append)

    board.post({"notices": ["a checkpoint is damaged"]})
    board.post({"stage": "pretrain: building the networks"})
    figures = notices.of(board.read())
    notices.of({})  # a read that failed
    board.post({"notices": ["a writer is given up"]})
    notices.of(board.read())

    assert figures["stage"] == "pretrain: building the networks"
    assert said == ["a checkpoint is damaged", "a writer is given up"]


def test_silence_counts_from_the_last_sign_of_life_and_ends_with_the_work(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    board = progress.Board.__ray_metadata__.modified_class()
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
