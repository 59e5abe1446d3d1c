"""What follows from the configuration and the number of workers."""

from __future__ import annotations

import pytest

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac.pretrain.setup import derive_extent, describe_extent

TWO = {"train__batch_size": 12, "train__micro_batch": 4, "workers__count": 2}


@pytest.mark.parametrize(("world", "micro_steps"), [(1, 3), (2, 2), (3, 1), (5, 1)])
def test_the_effective_batch_is_kept_by_micro_steps_and_pad_rows(world, micro_steps):
    extent = derive_extent(make_settings(**TWO), rows_in_epoch=20, world=world)

    assert (extent.batch_size, extent.micro_steps, extent.steps) == (12, micro_steps, 10)


@pytest.mark.parametrize(("world", "batch", "steps"), [(1, 6, 20), (2, 12, 10), (3, 18, 7)])
def test_or_it_follows_the_workers_and_with_it_the_learning_rate(world, batch, steps):
    settings = make_settings(**TWO, train__batch_scaling="per_worker", optim__warmup_share=0.0)

    state = make_state(settings, world=world)

    assert (state.extent.batch_size, state.extent.steps, state.extent.rows_in_run) == (batch, steps, 120)
    assert state.learning_rate == pytest.approx(1e-3 * batch / 256)


def test_the_derived_numbers_are_printed_in_one_line():
    settings = make_settings(**TWO)

    assert describe_extent(settings, derive_extent(settings, 20, 2)) == (
        "120 pairs (6.00 epochs) in 10 steps of 12, 2 workers x 4 pairs x 2 micro-steps; lr 4.69e-05 after "
        "10% warm-up; momentum 0.996 to 1"
    )
