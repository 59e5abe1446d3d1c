"""One execution of Ray Data over many spans, run by a thread of its own into a bounded queue."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import ray.data
from jaxtyping import Int64

from videomac.data.batch import Batch
from videomac.data.row_maker import Columns
from videomac.data.spans import Span
from videomac.distributed.data.dataset import window_dataset
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.failures import failure_of
from videomac.distributed.data.time_left import TimeLeft
from videomac.errors import DataError

CLOSED_WITHIN_S = 0.2
"""How soon the thread notices that its window was closed while the queue is full."""


class Decoded(NamedTuple):
    """A batch, and what is known about how it was made."""

    batch: Batch
    stats: Int64[np.ndarray, "b stats"]
    """Sums of `row_maker.STATS` in row 0, zeros below."""
    pid: int
    """Process of the decode actor."""


@dataclasses.dataclass
class _End:
    """What a window's thread leaves behind: the exception that ended it, or None."""

    error: BaseException | None


class Window:
    """The batches of some spans, in order; the actors start at once."""

    def __init__(self, spans: Sequence[Span], decoding: Decoding, known_bad: Mapping[str, int]) -> None:
        self.time_left = TimeLeft(len(spans))
        self.dataset: ray.data.Dataset | None = None
        """The running execution; None until Ray has planned it."""
        self._decoding = decoding
        self._queue: queue.Queue[Decoded | _End] = queue.Queue(maxsize=decoding.data.prefetch_batches)
        self._stopped = threading.Event()
        # In the thread: thousands of spans take Ray a second, which the training must not wait for.
        arguments = (spans, decoding, known_bad)
        self._thread = threading.Thread(target=self._run, args=arguments, name="window", daemon=True)
        self._thread.start()

    def take(self) -> Decoded:
        """Return the next batch.

        Raises:
            DataError: no batch came within `data.stall_timeout_s`, or the actors ended early.
            StorageError: the shards stay unreadable past all retries.
            ClusterError: the actors got no CPU within `data.start_timeout_s`.
        """
        limit_s = self._decoding.data.stall_timeout_s
        try:
            taken = self._queue.get(timeout=limit_s)
        except queue.Empty:
            raise DataError(
                f"no batch came within data.stall_timeout_s = {limit_s:g} s; look at the decode actors' logs, "
                "or raise it for very slow storage"
            ) from None
        if isinstance(taken, _End):
            raise failure_of(taken.error, self._decoding.data)
        self.time_left.batch_taken()
        return taken

    def close(self) -> None:
        """Let the thread end; Ray Data ends the actors with it."""
        self._stopped.set()

    def _run(self, spans: Sequence[Span], decoding: Decoding, known_bad: Mapping[str, int]) -> None:
        error = None
        try:
            self.dataset = window_dataset(spans, decoding, known_bad)
            self._feed(self.dataset)
        except BaseException as raised:  # noqa: BLE001 - handed to the consumer, which raises it
            error = raised
        self._put(_End(error))

    def _feed(self, dataset: ray.data.Dataset) -> None:
        batches = dataset.iterator().iter_batches(
            batch_size=self._decoding.micro_batch,
            batch_format="numpy",
            prefetch_batches=self._decoding.data.prefetch_batches,
        )
        for columns in cast("Iterator[Columns]", batches):
            batch = Batch.collate(columns, self._decoding.pin_memory)
            if not self._put(Decoded(batch, columns["stats"], int(columns["pid"][0]))):
                return

    def _put(self, item: Decoded | _End) -> bool:
        """Wait for a place in the queue; False if the window was closed."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=CLOSED_WITHIN_S)
                return True
            except queue.Full:
                continue
        return False
