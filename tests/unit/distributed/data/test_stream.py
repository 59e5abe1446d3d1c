"""What a rank's stream of batches counts."""

import numpy as np

from tests.unit.pretrain.conftest import make_batch
from videomac.data.row_maker import STATS
from videomac.distributed.data.stream import BatchStream


def test_a_rank_with_many_bad_rows_goes_on():
    """Other ranks may have few: only the counts of all workers decide (`pretrain.loop.check_bad_share`)."""
    stream = BatchStream(None, [])  # pyright: ignore[reportArgumentType] - decodes nothing

    for start in range(0, 300, 4):
        stream._count(make_batch(range(start, start + 4), bad=(start,)), np.zeros((4, len(STATS)), np.int64))

    assert (stream.counters["rows"], stream.counters["bad_rows"]) == (300, 75)
