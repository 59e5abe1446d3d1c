"""The training loop, without Ray: steps, and what is due after them."""

from __future__ import annotations

import collections
from typing import Protocol, runtime_checkable

from videomac.data.status import Code
from videomac.errors import DataError
from videomac.pretrain.metrics import Batches, Meter
from videomac.pretrain.step import StepReport, TrainState, train_step
from videomac.records.metrics import MetricsLine

BAD_ROWS_FROM = 200
"""Rows before `data.max_bad_share` counts: a few bad clips at the start say little."""


@runtime_checkable
class Host(Protocol):
    """What the loop needs from whoever runs it. All workers call the methods in the same order."""

    def stepped(self, report: StepReport) -> None:
        """Called after each step: writes the ledger's line."""

    def log(self, line: MetricsLine) -> None:
        """Called each `log.every_steps` and at the end: writes a line of metrics."""

    def checkpoint(self, line: MetricsLine) -> None:
        """Called each `checkpoint.every_steps`, at the end, and before a preemption: saves the state."""

    def draw(self, report: StepReport) -> None:
        """Called each `log.pictures_every_steps`, or at checkpoints: draws reconstructions."""

    def held_out(self) -> dict[str, float]:
        """Called each `log.held_out_every_steps`: returns figures that join the line."""
        ...

    def name_bad_rows(self) -> collections.Counter[str]:
        """Called before bad rows end the run: writes down which they were; returns their number by reason."""
        ...

    def must_save_now(self) -> bool:
        """Return whether to checkpoint now, because a node is about to be preempted."""
        ...


def run(state: TrainState, batches: Batches, host: Host) -> None:
    """Train until no row of the run is left.

    Raises:
        TrainingError: as `train_step`.
        DataError: more than `data.max_bad_share` of the rows are bad.
    """
    log, meter = state.settings.log, Meter(state, batches)
    while not state.finished:
        report = train_step(state, batches)
        host.stepped(report)
        check_bad_share(state, host)
        saving = _due(state, state.settings.checkpoint.every_steps) or state.finished or host.must_save_now()
        line = None
        if saving or _due(state, log.every_steps) or state.step == 1:
            line = meter.line(report)
            if _due(state, log.held_out_every_steps):
                line = line.joined(host.held_out())
            host.log(line)
        meter.first_step_done()
        if _due(state, log.pictures_every_steps) or (saving and not log.pictures_every_steps):
            host.draw(report)
        if saving and line is not None:
            host.checkpoint(line)


def check_bad_share(state: TrainState, host: Host) -> None:
    """End a run whose data mostly cannot be read. The counts are those of all workers, so all of them end alike.

    A run that is shorter than `BAD_ROWS_FROM` rows fails at its end if not one of them could be decoded, or if shards
    are damaged.
    """
    share, limit = state.bad_rows / max(state.rows_used, 1), state.settings.data.max_bad_share
    if share <= limit or not (state.rows_used >= BAD_ROWS_FROM or state.finished):
        return
    found = host.name_bad_rows()
    are_all_bad = state.bad_rows >= state.extent.rows_in_run
    are_damaged = any(reason.startswith(Code.DAMAGED.reason) for reason in found)
    if state.rows_used >= BAD_ROWS_FROM or are_all_bad or are_damaged:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in found.most_common())
        raise DataError(
            f"{state.bad_rows} of {state.rows_used} rows ({share:.0%}) could not be decoded ({reasons}), more than "
            f"data.max_bad_share = {limit:g}; events.jsonl names the clips; run `videomac verify-shards` on the "
            "manifest, or raise the limit"
        )


def _due(state: TrainState, every_steps: int) -> bool:
    """Return whether the step just done is one of every so many; never for 0."""
    return every_steps > 0 and state.step % every_steps == 0
