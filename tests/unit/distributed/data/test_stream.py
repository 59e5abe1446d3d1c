"""What a stream of batches asks of the cluster."""

import numpy as np

from tests.unit.data.material import pretrain_settings
from tests.unit.pretrain.conftest import make_batch, make_settings
from videomac.data.row_maker import STATS
from videomac.distributed.data.stream import BatchStream, cpus_needed


def test_cpus_for_two_windows_are_counted():
    one = pretrain_settings("m", **{"data.actors": 3, "data.cpus_per_actor": 0.5})
    assert cpus_needed(one.data, world=2) == 6.0


def test_a_rank_with_many_bad_rows_goes_on():
    """Other ranks may have few: only the counts of all workers decide (`pretrain.loop.check_bad_share`)."""
    settings = make_settings(data__max_bad_share=0.1)
    stream = BatchStream([], settings, plan=None, world=2, verdicts={})  # pyright: ignore[reportArgumentType]

    for start in range(0, 300, 4):
        stream._count(make_batch(range(start, start + 4), bad=(start,)), np.zeros((4, len(STATS)), np.int64))

    assert (stream.counters["rows"], stream.counters["bad_rows"]) == (300, 75)
