"""Rows of the plan as micro-batches of one worker: decoded by Ray Data's actors, in order, ahead of the training.

Step i of an attempt uses rows [start + i*E, start + (i+1)*E), E the effective batch; it takes ceil(E / (world*b))
micro-steps of b rows on every rank. Places beyond E are pad rows (g = -1). So the order of rows does not depend on the
number of workers, every rank has equally many batches, and the data position is one number.

An execution of Ray Data ("window") has a bounded number of blocks; the next one starts while the last still feeds the
trainer, because its actors take seconds to start.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import ray
import ray.data
import ray.exceptions
from ray.data import ActorPoolStrategy, ExecutionResources

from videomac import config
from videomac.data.batch import Batch
from videomac.data.pairs import recipe_of
from videomac.data.plan import Plan
from videomac.data.row_maker import DECODER, STATS
from videomac.data.spans import Span, micro_steps
from videomac.data.status import VERDICTS, Code
from videomac.distributed.data.actor import DecodeActor
from videomac.distributed.data.stats import ray_data_figures
from videomac.distributed.data.throttle import Pace
from videomac.errors import ClusterError, DataError, VideomacError

AHEAD_S = 15.0
"""The next window starts when the current one lasts about this much longer: actors need 2 to 5 s on an idle machine."""
SETTLED_S = 5.0
"""A window's first batches were ready before they were asked for: so long its pace says nothing."""
BATCHES_OF_A_TASK = 4
"""Ray Data counts two for a task that runs, and keeps as much for its outputs."""
CPUS_OF_WINDOWS = 2
"""Windows whose actors are alive at a border: the one that ends and the next."""


def cpus_needed(data: config.Data, world: int) -> float:
    """CPUs that Ray must be able to book for decoding, beside the training workers."""
    return CPUS_OF_WINDOWS * world * data.actors * data.cpus_per_actor


def batches(
    settings: config.Pretrain,
    plan: Plan,
    start_g: int,
    stop_g: int,
    rank: int,
    world: int,
    verdicts: Mapping[str, int] | None = None,
    batch_size: int | None = None,
) -> BatchStream:
    """The micro-batches of this rank for rows start_g <= g < stop_g, in order.

    A step has `batch_size` rows, `train.batch_size` where it is None. `verdicts` are clips (key -> code) that a
    checkpoint knows to end decoding processes.
    """
    spans = micro_steps(
        start_g,
        stop_g,
        batch_size=batch_size or settings.train.batch_size,
        micro_batch=settings.train.micro_batch,
        pairs_per_open=settings.data.pairs_per_open,
        rank=rank,
        world=world,
    )
    return BatchStream(spans, settings, plan, world, dict(verdicts or {}))


class BatchStream(Iterator[Batch]):
    """Micro-batches in order, with what was counted on the way.

    Raises (from `next`):
        DataError: no batch came for `data.stall_timeout_s`.
        StorageError: the shards stay unreadable past all retries.
        ClusterError: the actors found no CPU for `data.start_timeout_s`.
    """

    def __init__(
        self, spans: list[Span], settings: config.Pretrain, plan: Plan, world: int, verdicts: dict[str, int]
    ) -> None:
        self._settings, self._plan, self._world = settings, plan, world
        self.verdicts = verdicts
        """Clips (key -> code) that end decoding processes: to be kept in the checkpoint."""
        self.bad_clips: dict[str, str] = {}
        """Each bad clip once, with its reason, in the order found."""
        self.wait_s = 0.0
        """Time blocked in `next` after the first batch."""
        self.first_batch_s = 0.0
        """Time to the first batch: actors start."""
        self.counters: collections.Counter[str] = collections.Counter()
        """batches, rows, distinct_clips (summed over batches), bad_rows, bad_REASON, and the sums of `decode.STATS`."""
        self.decoder_pids: set[int] = set()
        """Processes of the decode actors that made this rank's batches: for the run's record."""
        self._spans = collections.deque(spans)
        self._current: _Window | None = None
        self._next: _Window | None = None
        self._begun = False

    def __next__(self) -> Batch:
        begin = time.perf_counter()
        batch, stats, pid = self._take()
        self.decoder_pids.add(pid)
        waited = time.perf_counter() - begin
        if self._begun:
            self.wait_s += waited
        else:
            self.first_batch_s, self._begun = waited, True
        self._count(batch, stats)
        return batch

    def _take(self) -> tuple[Batch, np.ndarray, int]:
        if self._current is None or self._current.left == 0:
            if self._current is not None:
                self._current.close()
            self._current, self._next = self._next or self._start_window(), None
        if self._current is None:
            raise StopIteration
        taken = self._current.take()
        if self._next is None and self._current.seconds_left() < AHEAD_S:
            self._next = self._start_window()
        return taken

    def _start_window(self) -> _Window | None:
        data = self._settings.data
        count = min(len(self._spans), data.window_blocks * data.block_steps)
        if not count:
            return None
        spans = [self._spans.popleft() for _ in range(count)]
        return _Window(spans, self._settings, self._plan, self._world, dict(self.verdicts))

    def _count(self, batch: Batch, stats: np.ndarray) -> None:
        self.counters.update(dict(zip(STATS, stats.sum(0).tolist(), strict=True)))
        self.counters["batches"] += 1
        self.counters["rows"] += int((batch.g_b >= 0).sum())
        self.counters["distinct_clips"] += len(set(filter(None, batch.keys)))
        for place in batch.code_b.nonzero().flatten().tolist():
            code, key = Code(int(batch.code_b[place])), batch.keys[place]
            self.counters["bad_rows"] += 1
            self.counters[f"bad_{code.reason}"] += 1
            self.bad_clips.setdefault(key, code.reason)
            if code in VERDICTS:
                self.verdicts[key] = int(code)

    def ray_stats(self) -> tuple[dict[str, float], str]:
        """Ray Data's stats of the execution that feeds this rank now: as figures, and as its own text."""
        if self._current is None or self._current.dataset is None:
            return {}, ""
        summary = self._current.dataset.get_stats_summary()
        return ray_data_figures(summary), summary.to_string()

    def close(self) -> None:
        """Ends the actors; the stream is over."""
        self._spans.clear()
        for window in (self._current, self._next):
            if window is not None:
                window.close()
        self._current = self._next = None


@dataclasses.dataclass
class _End:
    """What a window's thread leaves behind: the exception that ended it, or none."""

    error: BaseException | None


class _Window:
    """One Ray Data execution, run by a thread of its own into a bounded queue."""

    def __init__(
        self, spans: list[Span], settings: config.Pretrain, plan: Plan, world: int, verdicts: dict[str, int]
    ) -> None:
        self.left = len(spans)
        """Batches that are still to be taken."""
        self._settings = settings
        self._begin, self._taken = time.monotonic(), 0
        self._stall_s = settings.data.stall_timeout_s
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=settings.data.prefetch_batches)
        self._stopped = threading.Event()
        self.dataset: ray.data.Dataset | None = None
        # In the thread: thousands of spans take Ray a second, which the training must not wait for.
        make = functools.partial(_dataset, spans, settings, plan, world, verdicts)
        self._thread = threading.Thread(target=self._run, args=(make,), name="window", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Batch, np.ndarray, int]:
        """The next batch, its stats, and the process that decoded it."""
        try:
            taken = self._queue.get(timeout=self._stall_s)
        except queue.Empty:
            raise DataError(
                f"no batch came for data.stall_timeout_s = {self._stall_s:g} s; look at the decode actors' logs, "
                "or raise it for very slow storage"
            ) from None
        if isinstance(taken, _End):
            raise _explained(taken.error, self._settings.data)
        if self._taken == 0:
            self._begin = time.monotonic()
        self._taken += 1
        self.left -= 1
        return taken

    def seconds_left(self) -> float:
        """Estimate from the pace so far; in the first half, infinite until it has settled."""
        elapsed = time.monotonic() - self._begin
        if self.left > self._taken and elapsed < SETTLED_S:
            return math.inf
        return self.left * elapsed / max(self._taken - 1, 1)

    def _run(self, make: Callable[[], ray.data.Dataset]) -> None:
        error = None
        try:
            self.dataset = make()
            self._feed(self.dataset)
        except BaseException as raised:  # noqa: BLE001 - handed to the consumer, which raises it
            error = raised
        self._put(_End(error))

    def _feed(self, dataset: ray.data.Dataset) -> None:
        data = self._settings.data
        pin = self._settings.workers.gpu
        rows = self._settings.train.micro_batch
        stream: Any = dataset.iterator().iter_batches(
            batch_size=rows, batch_format="numpy", prefetch_batches=data.prefetch_batches
        )
        for columns in stream:
            if not self._put((Batch.collate(columns, pin), columns["stats"], int(columns["pid"][0]))):
                return

    def _put(self, item: Any) -> bool:
        """Waits for a place in the queue; False when the window was closed."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def close(self) -> None:
        """Lets the thread end; Ray Data ends the actors with it."""
        self._stopped.set()


def _dataset(
    spans: list[Span], settings: config.Pretrain, plan: Plan, world: int, verdicts: dict[str, int]
) -> ray.data.Dataset:
    """The lazy data set of a window: blocks of at most `block_steps` spans, decoded by a fixed pool of actors."""
    data = settings.data
    count = math.ceil(len(spans) / data.block_steps)
    # Unlike `from_arrow`, this asks for no task of one CPU a block: beside workers such tasks might never start.
    rows = [dataclasses.asdict(span) for span in spans]
    dataset = ray.data.from_items(rows, override_num_blocks=count).map_batches(
        DecodeActor,
        fn_constructor_args=(plan, recipe_of(settings), verdicts, DECODER),
        batch_size=None,
        compute=ActorPoolStrategy(size=min(data.actors, count)),
        num_cpus=data.cpus_per_actor,
    )
    context = dataset.context
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.custom_execution_callback_classes = [Pace]
    context.target_max_block_size = _batch_bytes(settings)  # a block per batch: handed on as soon as it is decoded
    context.wait_for_min_actors_s = round(data.start_timeout_s)
    context.execution_no_progress_timeout_s = round(data.stall_timeout_s)
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources(
        object_store_memory=max(data.object_store_mb * 2**20 / world, _least_waiting(data) * _batch_bytes(settings))
    )
    return dataset


def _least_waiting(data: config.Data) -> int:
    """Batches that must be allowed to wait, so that all actors work: rows come in order, so while one actor's block is
    taken the others' blocks wait; and Ray Data counts two batches for every task that runs."""
    waiting = data.block_steps if data.actors > 1 else 1
    return data.actors * (waiting + BATCHES_OF_A_TASK)


def _batch_bytes(settings: config.Pretrain) -> int:
    height, width = settings.data.image_size
    return settings.train.micro_batch * 2 * height * width * 3


def _explained(error: BaseException | None, data: config.Data) -> BaseException:
    """The error to raise in the training worker: ours as they are, Ray's with what to do."""
    if error is None:
        return DataError("the decode actors ended before the last batch; look at their logs")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, VideomacError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(error, ray.exceptions.GetTimeoutError) or "waiting for actors" in str(error):
        return ClusterError(
            f"no CPU for {data.actors} decode actors of {data.cpus_per_actor:g} CPUs within data.start_timeout_s = "
            f"{data.start_timeout_s:g} s; lower workers.cpus, data.actors or data.cpus_per_actor, or add nodes"
        )
    return error
