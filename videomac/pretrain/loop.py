"""The training loop, without Ray: steps, and what is due after which of them."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from videomac.data.batch import Batch
from videomac.errors import DataError
from videomac.pretrain.metrics import Meter
from videomac.pretrain.step import StepReport, TrainState, train_step

BAD_ROWS_FROM = 200
"""Rows before `data.max_bad_share` counts: a few bad clips at the start say little."""


@runtime_checkable
class Batches(Protocol):
    """This worker's micro-batches, in the plan's order."""

    @property
    def wait_s(self) -> float:
        """Time blocked in `next` so far, after the first batch."""
        ...

    def __iter__(self) -> Iterator[Batch]: ...
    def __next__(self) -> Batch: ...


@runtime_checkable
class Host(Protocol):
    """What the loop needs from whoever runs it; every worker calls each in the same order."""

    def stepped(self, report: StepReport) -> None:
        """After each step: the ledger's line."""

    def log(self, line: dict[str, Any], report: StepReport) -> None:
        """Each `log.every_steps` and at the end."""

    def checkpoint(self, line: dict[str, Any]) -> None:
        """Each `checkpoint.every_steps`, at the end, and before a preemption."""

    def draw(self, report: StepReport) -> None:
        """Each `log.pictures_every_steps`, or at checkpoints."""

    def held_out(self) -> dict[str, float]:
        """Each `log.held_out_every_steps`: figures that join the line."""
        ...

    def name_bad_rows(self) -> collections.Counter[str]:
        """Before the run ends because of them: writes down which rows were bad; their number by reason."""
        ...

    def must_save_now(self) -> bool:
        """A node is about to be taken away."""
        ...


def run(state: TrainState, batches: Batches, host: Host) -> None:
    """Trains until no row of the run is left.

    Raises:
        TrainingError: see `train_step`.
        DataError: more rows than `data.max_bad_share` could not be decoded.
    """
    log, meter = state.settings.log, Meter(state, batches)
    while not state.finished:
        report = train_step(state, batches)
        host.stepped(report)
        check_bad_share(state, host)
        saving = _due(state, state.settings.checkpoint.every_steps) or state.finished or host.must_save_now()
        line: dict[str, Any] = {}
        if saving or _due(state, log.every_steps) or state.step == 1:
            line = meter.line(report)
            line |= host.held_out() if log.held_out_every_steps and _due(state, log.held_out_every_steps) else {}
            host.log(line, report)
        meter.first_step_done()
        if _due(state, log.pictures_every_steps) if log.pictures_every_steps else saving:
            host.draw(report)
        if saving:
            host.checkpoint(line)


def check_bad_share(state: TrainState, host: Host) -> None:
    """End a run whose data mostly cannot be read. The counts are those of all workers, so all of them end alike.

    A run that is shorter than `BAD_ROWS_FROM` rows fails at its end if not one of them could be decoded.
    """
    share, limit = state.bad_rows / max(state.rows_used, 1), state.settings.data.max_bad_share
    all_bad = state.finished and state.bad_rows >= state.extent.rows_in_run
    if share > limit and (state.rows_used >= BAD_ROWS_FROM or all_bad):
        reasons = ", ".join(f"{reason}: {count}" for reason, count in host.name_bad_rows().most_common())
        raise DataError(
            f"{state.bad_rows} of {state.rows_used} rows ({share:.0%}) could not be decoded ({reasons}), more than "
            f"data.max_bad_share = {limit:g}; events.jsonl names the clips; run `videomac verify-shards` on the "
            "manifest, or raise the limit"
        )


def _due(state: TrainState, every_steps: int) -> bool:
    return state.step % every_steps == 0
