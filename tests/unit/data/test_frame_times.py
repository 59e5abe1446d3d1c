"""Times for frames whose stamps are missing, equal, disordered, or start again."""

import numpy as np
import pytest

from videomac.data.frame_times import ascending
from videomac.facts.media import Treatment

REPAIRED, JOINED = Treatment.TIMES_REPAIRED, Treatment.TIMES_JOINED


@pytest.mark.parametrize(
    ("stamps", "times", "done"),
    [
        ([0, 2, 4, 9], [0, 2, 4, 9], set()),
        ([None] * 4, [0, 3, 6, 9], {REPAIRED}),
        ([10, None, 14, 16, None], [10, 12, 14, 16, 18], {REPAIRED}),
        ([None, 12, 14, 16], [10, 12, 14, 16], {REPAIRED}),
        ([10, 10, 12, 12, 14, 14], [10, 11, 12, 13, 14, 15], {REPAIRED}),
        ([10, 12, 11, 16, 18], [10, 12, 14, 16, 18], {REPAIRED}),
        ([100, 102, 104, 0, 2, 4], [100, 102, 104, 106, 108, 110], {JOINED}),
        ([100, 102, 104, 106, 101, 103, 105, 107], [100, 102, 104, 106, 108, 110, 112, 114], {JOINED}),
        ([10, 12, 14, 3, 18], [10, 12, 14, 16, 18], {REPAIRED}),
        ([5], [5], set()),
    ],
)
def test_every_frame_has_a_later_time_than_the_one_before(stamps, times, done):
    made, found = ascending(stamps, step=3.0)
    assert made == pytest.approx(times)
    assert found == done
    assert (np.diff(made) > 0).all()
