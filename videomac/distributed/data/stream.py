"""Rows of the plan as micro-batches of one worker: decoded by Ray Data's actors, in order, ahead of the training.

Step i of an attempt uses rows [start + i*E, start + (i+1)*E), E the effective batch; it takes ceil(E / (world*b))
micro-steps of b rows on every rank. Places beyond E are pad rows (g = -1). So the order of rows does not depend on the
number of workers, every rank has equally many batches, and the data position is one integer.

A window has a bounded number of blocks; the next one starts while the last one still feeds the trainer, because its
actors take seconds to start.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from videomac.data.batch import Batch
from videomac.data.row_maker import STATS
from videomac.data.spans import Span
from videomac.data.status import REMEMBERED, Code
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.stats import ray_data_figures
from videomac.distributed.data.window import Decoded, Window

AHEAD_S = 15.0
"""The next window starts when the current one will last about this long: actors need 2 to 5 s on an idle machine."""


class BatchStream(Iterator[Batch]):
    """The micro-batches of one worker's spans in order, with what was counted on the way.

    `known_bad` are clips (key -> status) that a checkpoint knows to end decoding processes: they are not even read.

    Raises (from `next`):
        DataError: no batch came within `data.stall_timeout_s`.
        StorageError: the shards stay unreadable past all retries.
        ClusterError: the actors got no CPU within `data.start_timeout_s`.
    """

    def __init__(self, decoding: Decoding, spans: Sequence[Span], known_bad: Mapping[str, int] | None = None) -> None:
        self._decoding = decoding
        self.known_bad = dict(known_bad or {})
        """Clips (key -> status) that end decoding processes: to be kept in the checkpoint."""
        self.bad_clips: dict[str, str] = {}
        """Each bad clip once, with its reason, in the order found."""
        self.wait_s = 0.0
        """Time blocked in `next` after the first batch."""
        self.counters: collections.Counter[str] = collections.Counter()
        """batches, rows, distinct_clips (summed over batches), bad_rows, bad_REASON, and sums of `row_maker.STATS`."""
        self.decoder_pids: set[int] = set()
        """Processes of the decode actors that made this rank's batches: for the run's record."""
        self._spans = collections.deque(spans)
        self._current: Window | None = None
        self._next: Window | None = None
        self._started = False

    def __next__(self) -> Batch:
        start = time.perf_counter()
        decoded = self._take()
        if self._started:
            self.wait_s += time.perf_counter() - start
        self._started = True
        self.decoder_pids.add(decoded.pid)
        self._count(decoded.batch, decoded.stats)
        return decoded.batch

    def _take(self) -> Decoded:
        if self._current is None or self._current.time_left.batches == 0:
            if self._current is not None:
                self._current.close()
            self._current, self._next = self._next or self._start_window(), None
        if self._current is None:
            raise StopIteration
        decoded = self._current.take()
        if self._next is None and self._current.time_left.seconds() < AHEAD_S:
            self._next = self._start_window()
        return decoded

    def _start_window(self) -> Window | None:
        data = self._decoding.data
        count = min(len(self._spans), data.window_blocks * data.block_steps)
        if not count:
            return None
        spans = [self._spans.popleft() for _ in range(count)]
        return Window(spans, self._decoding, dict(self.known_bad))

    def _count(self, batch: Batch, stats: Int64[np.ndarray, "b stats"]) -> None:
        self.counters.update(dict(zip(STATS, stats.sum(0).tolist(), strict=True)))
        self.counters["batches"] += 1
        self.counters["rows"] += int((batch.g_b >= 0).sum())
        self.counters["distinct_clips"] += len(set(filter(None, batch.keys)))
        for place in batch.code_b.nonzero().flatten().tolist():
            code, key = Code(int(batch.code_b[place])), batch.keys[place]
            self.counters["bad_rows"] += 1
            self.counters[f"bad_{code.reason}"] += 1
            self.bad_clips.setdefault(key, code.reason)
            if code in REMEMBERED:
                self.known_bad[key] = int(code)

    def ray_stats(self) -> tuple[dict[str, float], str]:
        """Return Ray Data's stats of the execution that feeds this rank now: as figures, and as its own text."""
        if self._current is None or self._current.dataset is None:
            return {}, ""
        summary = self._current.dataset.get_stats_summary()
        return ray_data_figures(summary), summary.to_string()

    def close(self) -> None:
        """End the actors; the stream is over."""
        self._spans.clear()
        for window in (self._current, self._next):
            if window is not None:
                window.close()
        self._current = self._next = None
