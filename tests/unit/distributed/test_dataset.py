"""Which rows each rank gets: decided without a cluster."""

import pytest

from tests.unit.data.material import pretrain_settings
from videomac.distributed.dataset import cpus_needed, micro_steps
from videomac.errors import ConfigError


def settings(effective, micro):
    return pretrain_settings("manifest.json", **{"train.batch_size": effective, "train.micro_batch": micro})


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize(("effective", "micro"), [(16, 4), (16, 16), (6, 4), (32, 2), (10, 8)])
@pytest.mark.parametrize("start", [0, 48])
def test_a_step_holds_its_rows_once_whatever_the_number_of_workers(world, effective, micro, start):
    one = settings(effective, micro)
    stop = start + 5 * effective
    ranks = [micro_steps(one, start, stop, rank, world) for rank in range(world)]
    per_step = -(-effective // (world * micro))
    assert {len(spans) for spans in ranks} == {5 * per_step}, "equally many batches everywhere"
    for step in range(5):
        spans = [span for spans in ranks for span in spans[step * per_step : (step + 1) * per_step]]
        rows = sorted(g for span in spans for g in range(span.g, span.g + span.count))
        assert rows == list(range(start + step * effective, start + (step + 1) * effective))
        assert all(span.size == micro and 0 <= span.count <= micro for span in spans)
        assert all(span.g % 2 == 0 and span.count % 2 == 0 for span in spans), "no opening is split"


def test_a_run_may_end_inside_a_step():
    spans = micro_steps(settings(16, 4), 0, 24, 0, 1)
    assert [span.count for span in spans] == [4, 4, 4, 4, 4, 4, 0, 0]


def test_a_position_that_splits_an_opening_is_refused():
    with pytest.raises(ConfigError, match=r"pairs_per_open: 2 does not divide the data position 17"):
        micro_steps(settings(16, 4), 17, 64, 0, 1)


def test_cpus_for_two_windows_are_counted():
    one = pretrain_settings("m", **{"data.actors": 3, "data.cpus_per_actor": 0.5})
    assert cpus_needed(one.data, world=2) == 6.0
