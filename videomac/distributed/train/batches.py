"""A worker's micro-batches, as the loop takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from videomac.config import Pretrain
from videomac.data.batch import Batch
from videomac.data.plan import Plan
from videomac.data.recipe import recipe_of
from videomac.data.spans import micro_steps
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.stream import BatchStream
from videomac.distributed.train.agreement import Agreement
from videomac.errors import VideomacError
from videomac.pretrain.step import TrainState


def open_stream(
    settings: Pretrain, plan: Plan, state: TrainState, agreement: Agreement, known_bad: dict[str, int]
) -> BatchStream:
    """Return the stream from the state's next row on; if E was rescaled, the last step may reach beyond the run."""
    extent, train, start = state.extent, settings.train, state.rows_used
    steps_left = math.ceil((extent.rows_in_run - start) / extent.batch_size)
    spans = micro_steps(
        start,
        start + steps_left * extent.batch_size,
        batch_size=extent.batch_size,
        micro_batch=train.micro_batch,
        pairs_per_open=settings.data.pairs_per_open,
        rank=agreement.rank,
        world=agreement.world,
    )
    recipe = recipe_of(settings.data, settings.model, settings.run.seed)
    decoding = Decoding(plan, recipe, train.micro_batch, agreement.world, settings.workers.gpu)
    return BatchStream(decoding, spans, known_bad)


class WorkerBatches:
    """The stream's batches, of which the first is taken already: all workers have agreed that they have one."""

    def __init__(self, stream: BatchStream, agreement: Agreement) -> None:
        self._stream, self._agreement = stream, agreement
        self._first: Batch | None = agreement.first_batch(stream)

    @property
    def wait_s(self) -> float:
        """Seconds blocked in the data path after the first batch."""
        return self._stream.wait_s

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return the next micro-batch; the other workers don't know of an error here."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._stream)
        except VideomacError as error:
            self._agreement.own(error)
            raise
