"""When the driver stops waiting for workers, and what it has seen of them by then."""

from __future__ import annotations

import pytest

from videomac.distributed.ray_internals import ActorSeen
from videomac.distributed.train.starting import Patience, Seen, Stage, judge

ALIVE, PENDING, DEAD = ActorSeen("ALIVE"), ActorSeen("PENDING_CREATION"), ActorSeen("DEAD", "killed")


@pytest.mark.parametrize(
    ("workers", "seen"),
    [
        ([], Seen(Stage.PLACING)),
        ([DEAD, DEAD], Seen(Stage.PLACING, died="killed")),
        ([DEAD, PENDING, ALIVE], Seen(Stage.PROCESSES, 2, 1, "killed")),
        ([ALIVE, ALIVE], Seen(Stage.FUNCTION, 2, 2)),
    ],
)
def test_a_start_is_as_far_as_its_slowest_worker_and_dead_ones_are_of_the_past(workers, seen):
    assert judge(workers) == seen


def end_of(stages: list[Stage | None], limit_s: float = 10.0) -> int | None:
    """The second in which patience is over; None: never. A stage for each second, None: a sign of life."""
    patience, last = Patience(limit_s), 0
    for now, stage in enumerate(stages, 1):
        last = now if stage is None else last
        if patience.is_over(now, now - last, lambda stage=stage: Seen(stage)):
            return now
    return None


def test_every_stage_of_a_slow_start_may_take_the_whole_limit():
    slow = [Stage.CONTROLLER] * 9 + [Stage.PLACING] * 9 + [Stage.PROCESSES] * 9 + [Stage.FUNCTION] * 9

    assert end_of([*slow, None, *([Stage.FUNCTION] * 9)]) is None
    assert end_of([*slow, *([Stage.FUNCTION] * 9)]) == 28 + 10 + 1, "the last stage began in second 28"


def test_what_never_moves_ends_after_the_limit():
    assert end_of([Stage.PLACING] * 30) == 11


def test_workers_that_die_and_start_again_come_no_further():
    crashing = [Stage.PLACING, Stage.PLACING, Stage.PLACING, Stage.PROCESSES, Stage.FUNCTION, Stage.PLACING] * 10

    assert end_of(crashing) == 16


def test_a_process_that_stops_ends_after_the_limit_and_every_sign_of_life_counts():
    working = [None] * 20

    assert end_of([*working, *([Stage.FUNCTION] * 20)]) == 31
    assert end_of([*working, *([Stage.PLACING] * 8), None, *([Stage.PLACING] * 8), None]) is None
