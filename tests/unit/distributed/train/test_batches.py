"""A worker's batches as the loop takes them."""

from __future__ import annotations

import pytest

from videomac.distributed.train.agreement import Agreement
from videomac.distributed.train.batches import WorkerBatches
from videomac.errors import DataError


class Stream:
    """Three batches, then an error of the data path."""

    wait_s = 1.5

    def __init__(self) -> None:
        self.left = ["a", "b", "c"]

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise DataError("no batch came")
        return self.left.pop(0)


def test_the_first_batch_is_taken_beforehand_and_none_is_lost():
    stream = Stream()

    batches = WorkerBatches(stream, Agreement(0, 1))

    assert stream.left == ["b", "c"]
    assert [next(batches) for _ in range(3)] == ["a", "b", "c"]
    assert batches.wait_s == 1.5


def test_an_error_of_the_data_path_is_this_worker_s_own():
    agreement, stream = Agreement(0, 2), Stream()
    batches = WorkerBatches(stream, agreement)
    stream.left = []
    next(batches)

    with pytest.raises(DataError, match="no batch came") as raised:
        next(batches)

    assert agreement.is_alone_with(raised.value)
