"""How long a window's batches will last, so that the next window starts in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SETTLED_S = 5.0
"""Ignore the rate this long after a window starts: its first batches were prefetched."""


class TimeLeft:
    """An estimate from the rate at which batches are taken."""

    def __init__(self, batches: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.batches = batches
        """Batches that are still to be taken."""
        self._clock, self._start, self._taken = clock, clock(), 0

    def batch_taken(self) -> None:
        """Count one batch; the clock starts at the first."""
        if self._taken == 0:
            self._start = self._clock()
        self._taken += 1
        self.batches -= 1

    def seconds(self) -> float:
        """Return the estimate; infinite in a window's first half until its rate has settled."""
        elapsed = self._clock() - self._start
        if self.batches > self._taken and elapsed < SETTLED_S:
            return math.inf
        return self.batches * elapsed / max(self._taken - 1, 1)
