"""What the workers of an attempt tell each other. All of them call each of these in the same order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

import ray.train
import torch.distributed as dist
from ray.train import PreemptionInfo

from videomac.data.batch import Batch
from videomac.errors import StorageError, VideomacError

T = TypeVar("T")
ASK_EVERY_S = 2.0
"""Seconds between two looks for a preemption notice; clouds give at least 30 s."""
MOST_STEPS_UNASKED = 100


class Agreement:
    """Values of all workers, and which errors all of them know of."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        self._own: VideomacError | None = None
        self._agreed = False

    def gather(self, value: T) -> list[T]:
        """Return every worker's value, by rank."""
        if not dist.is_initialized():
            return [value]
        values = [value] * self.world
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """Return rank 0's value."""
        return self.gather(value)[0]

    def first(self, value: T | None) -> T | None:
        """Return the first value that is not None, by rank."""
        return next((found for found in self.gather(value) if found is not None), None)

    def first_batch(self, source: Iterator[Batch]) -> Batch:
        """Return this worker's first batch if all workers have one, else raise the first worker's error on all.

        A shortage so costs its time limit once, and no restart.
        """
        batch, failure = None, None
        try:
            batch = next(source)
        except VideomacError as error:
            failure = error.restated(f"{error} (worker {self.rank})")
        first = self.first(failure)
        if first is not None:
            self._agreed = True
            raise first
        assert batch is not None, "no error, hence a batch"
        return batch

    def own(self, error: VideomacError) -> None:
        """Note that only this worker has this error."""
        self._own = error

    def is_alone_with(self, error: VideomacError) -> bool:
        """Return whether the others don't know of the error: they wait in a collective, and only a new group can go on.

        Reading rows fails on one worker, as does writing to a storage.
        """
        own = error is self._own or isinstance(error, StorageError)
        return self.world > 1 and own and not self._agreed


class Notices:
    """Preemption notices. Ray's answer is a barrier over all workers, so they ask only now and then."""

    def __init__(self, agreement: Agreement) -> None:
        self._schedule = Schedule(agreement)
        self._deadline_ms: int | None = None

    def new(self, step: int) -> PreemptionInfo | None:
        """Return a notice that came since the last call, asked for after some steps only."""
        if not self._schedule.due(step):
            return None
        notice = ray.train.get_preemption_info()
        if notice is None or notice.deadline_ms == self._deadline_ms:
            return None
        self._deadline_ms = notice.deadline_ms
        return notice


class Schedule:
    """After which steps to ask: all workers agree, whatever their clocks say."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement, self._next = agreement, 0
        self._last: tuple[int, float] | None = None

    def due(self, step: int) -> bool:
        """Return True about every `ASK_EVERY_S`, at the pace of the slowest worker."""
        if step < self._next:
            return False
        now = time.monotonic()
        step_before, before = self._last or (step - 1, now - ASK_EVERY_S)
        pace_s = max(self._agreement.gather((now - before) / (step - step_before)))
        self._last, self._next = (step, now), step + min(max(1, int(ASK_EVERY_S / pace_s)), MOST_STEPS_UNASKED)
        return True
