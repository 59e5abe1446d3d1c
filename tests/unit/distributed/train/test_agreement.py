"""What workers agree on."""

from __future__ import annotations

import pytest

from videomac.distributed.train.agreement import Agreement, Schedule
from videomac.errors import ClusterError, DataError, StorageError


class Gathered(Agreement):
    """A worker whose gathers return given values of the others, one a call."""

    def __init__(self, others, rank: int = 0, world: int = 2) -> None:
        super().__init__(rank, world)
        self._others = iter(others)

    def gather(self, value):
        values = [next(self._others)]
        values.insert(self.rank, value)
        return values


def test_all_workers_ask_for_notices_after_the_same_steps_at_the_pace_of_the_slowest():
    schedule = Schedule(Gathered([0.1, 0.1, 30.0, 1e-9]))

    assert [step for step in range(1, 60) if schedule.due(step)] == [1, 2, 22, 23]


def test_without_other_workers_every_value_is_ones_own():
    alone = Agreement(0, 1)

    assert (alone.gather(3), alone.broadcast(3), alone.first(None)) == ([3], 3, None)


def test_an_error_before_the_first_batch_is_every_worker_s():
    agreement = Gathered([ClusterError("no CPU (worker 1)")])

    with pytest.raises(ClusterError, match=r"no CPU \(worker 1\)") as raised:
        agreement.first_batch(iter(["a batch"]))

    assert not agreement.is_alone_with(raised.value)


@pytest.mark.parametrize(
    ("error", "alone"),
    [(DataError("no batch came"), True), (StorageError("403"), True), (DataError("too many bad rows"), False)],
)
def test_errors_of_reading_rows_and_of_storages_are_one_worker_s_own(error, alone):
    agreement = Agreement(1, 2)
    if str(error) == "no batch came":
        agreement.own(error)

    assert agreement.is_alone_with(error) is alone
    assert not Agreement(0, 1).is_alone_with(error), "a single worker agrees with itself"
