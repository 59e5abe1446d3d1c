"""When the next window starts."""

import math

from videomac.distributed.data.time_left import SETTLED_S, TimeLeft


def test_the_rate_counts_from_the_first_batch_and_once_it_has_settled():
    now = [0.0]
    time_left = TimeLeft(20, clock=lambda: now[0])
    now[0] = 60.0  # the actors start
    time_left.batch_taken()
    assert time_left.seconds() == math.inf
    for _ in range(4):
        now[0] += SETTLED_S / 4
        time_left.batch_taken()
    assert time_left.batches == 15
    assert time_left.seconds() == 15 * SETTLED_S / 4


def test_in_the_second_half_the_rate_counts_at_once():
    now = [0.0]
    time_left = TimeLeft(4, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 1.0
        time_left.batch_taken()
    assert time_left.seconds() == 1.0
