"""Which rows each rank gets: decided without a cluster."""

import pytest

from videomac.data.spans import micro_steps
from videomac.errors import ConfigError


def spans_of(effective, micro, start, stop, rank, world):
    return micro_steps(start, stop, batch_size=effective, micro_batch=micro, pairs_per_open=2, rank=rank, world=world)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize(("effective", "micro"), [(16, 4), (16, 16), (6, 4), (32, 2), (10, 8)])
@pytest.mark.parametrize("start", [0, 48])
def test_a_step_holds_its_rows_once_whatever_the_number_of_workers(world, effective, micro, start):
    stop = start + 5 * effective
    ranks = [spans_of(effective, micro, start, stop, rank, world) for rank in range(world)]
    per_step = -(-effective // (world * micro))
    assert {len(spans) for spans in ranks} == {5 * per_step}, "equally many batches everywhere"
    for step in range(5):
        spans = [span for spans in ranks for span in spans[step * per_step : (step + 1) * per_step]]
        rows = sorted(g for span in spans for g in range(span.g, span.g + span.count))
        assert rows == list(range(start + step * effective, start + (step + 1) * effective))
        assert all(span.micro_batch == micro and 0 <= span.count <= micro for span in spans)
        assert all(span.g % 2 == 0 and span.count % 2 == 0 for span in spans), "no opening is split"


def test_a_run_may_end_inside_a_step():
    spans = spans_of(16, 4, 0, 24, 0, 1)
    assert [span.count for span in spans] == [4, 4, 4, 4, 4, 4, 0, 0]


def test_a_position_that_splits_an_opening_is_refused():
    with pytest.raises(ConfigError, match=r"pairs_per_open: 2 does not divide the data position 17"):
        spans_of(16, 4, 17, 64, 0, 1)
