"""The line that people watch."""

from __future__ import annotations

from videomac.distributed.train import screen
from videomac.distributed.train.board import Board, Figures


def test_the_line_says_stage_step_loss_speed_waiting_and_time_left():
    figures: Figures = {
        "stage": "pretrain: training", "probe": "J&F-Mean 0.700 (step_0000004)", "progress": {
            "step": 5, "steps": 200, "loss": 1.23456, "pairs_per_s": 42.0, "wait_share": 0.031, "eta_s": 4000.0
        },
    }  # fmt: skip

    assert screen.line(figures) == (
        "pretrain: training | step 5/200 | loss 1.2346 | 42.0 pairs/s | waiting for data 3% | 1:06:40 left | "
        "probe J&F-Mean 0.700 (step_0000004)"
    )
    assert screen.line({}) == "pretrain: starting workers and decode actors"


def test_a_notice_is_printed_once_also_when_the_stage_has_changed_since():
    board, printed = Board(), []
    notices = screen.Notices(printed.append)

    board.post({"notices": ["a checkpoint is damaged"]})
    board.post({"stage": "pretrain: building the networks"})
    figures = notices.of(board.read())
    notices.of({})  # a read that failed
    board.post({"notices": ["a writer is given up"]})
    notices.of(board.read())

    assert figures["stage"] == "pretrain: building the networks"
    assert printed == ["a checkpoint is damaged", "a writer is given up"]
