"""What one training worker runs: it builds or resumes the state, and lets the plain loop do the rest."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import itertools
import os
import platform

import ray.train
import ray.train.torch
import torch

from videomac.config import Pretrain
from videomac.data.plan import OpenPlan, Plan
from videomac.data.status import Code
from videomac.distributed.cluster import enter
from videomac.distributed.data.stats import data_figures, summed
from videomac.distributed.data.stream import BatchStream
from videomac.distributed.train.agreement import Agreement, Notices
from videomac.distributed.train.batches import WorkerBatches, open_stream
from videomac.distributed.train.board import BoardClient, alive
from videomac.distributed.train.records import Records
from videomac.distributed.train.resume import Resume, name_of, reported_checkpoints
from videomac.distributed.train.saving import Probes, Saving
from videomac.errors import VideomacError
from videomac.pretrain import loop
from videomac.pretrain.heldout import HeldOut
from videomac.pretrain.ledger import Ledger, count_attempts
from videomac.pretrain.setup import build_state, derive_extent, describe_extent
from videomac.pretrain.step import StepReport, TrainState
from videomac.records import events
from videomac.records.checkpoint import DataFacts
from videomac.records.metrics import MetricsLine


@dataclasses.dataclass(frozen=True)
class WorkerTask:
    """What the driver hands to every worker."""

    settings: Pretrain
    """Without relative paths of storage; the object itself, so that no file or log sees its secrets."""
    plan: Plan
    board: BoardClient
    facts: DataFacts
    cwd: str
    """The driver's working folder."""
    held_out: Plan | None = None
    """Of the clips for `log.held_out_every_steps`."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the training ended on a worker."""

    stopped: VideomacError | None = None
    """Why all workers agree that going on is useless: a restart by Ray Train would only fail again."""


def train_worker(config: dict[str, WorkerTask]) -> Outcome:
    """Ray Train's train function."""
    task = config["task"]
    enter(task.cwd)
    settings = task.settings
    torch.set_num_threads(settings.workers.threads or max(1, int(settings.workers.cpus)))
    context = ray.train.get_context()
    agreement = Agreement(context.get_world_rank(), context.get_world_size())
    with alive(task.board), contextlib.closing(Records(settings, task.board, agreement.rank == 0)) as records:
        try:
            train(task, settings, agreement, records)
        except VideomacError as error:
            message = records.stopped(error)
            if agreement.is_alone_with(error):
                raise
            return Outcome(error.restated(message))
    return Outcome()


def train(task: WorkerTask, settings: Pretrain, agreement: Agreement, records: Records) -> None:
    """Build or resume the state and train to the end of the run.

    Raises:
        CheckpointError, DataError, StorageError, TrainingError, ClusterError: why training cannot go on.
    """
    records.show({"stage": "pretrain: building the networks"})
    extent = derive_extent(settings, task.plan.rows_per_epoch, agreement.world)
    known = reported_checkpoints()
    state = build_state(settings, extent, ray.train.torch.get_device(), fresh=not known)
    facts = Resume(agreement, records, task.facts).load(state, known)
    ledger = open_ledger(records, agreement, state)
    if state.finished:
        return
    held_out = HeldOut(settings, task.held_out, agreement.rank, agreement.world)
    records.show({"stage": "pretrain: waiting for the first batch"})
    with (
        contextlib.closing(ledger),
        contextlib.closing(open_stream(settings, task.plan, state, agreement, dict(facts.verdicts))) as stream,
    ):
        batches = WorkerBatches(stream, agreement)
        saving = Saving(records, Probes(settings.probe, task.board), map(name_of, known))
        loop.run(state, batches, Worker(state, agreement, records, ledger, stream, held_out, saving, task))
    score = " and its score" if settings.probe else ""
    records.show({"stage": f"pretrain: waiting for the last checkpoint{score}"})


def open_ledger(records: Records, agreement: Agreement, state: TrainState) -> Ledger:
    """Start the attempt in the run folder: its number, its events, its ledger."""
    leads = agreement.rank == 0
    attempt = agreement.broadcast(count_attempts(records.folder) + 1 if leads else 0)
    ledger = Ledger(records.folder, attempt, state.step, leads)
    described = describe_extent(state.settings, state.extent)
    records.event(events.Attempt(attempt=attempt, rows=state.rows_used, describes=described))
    for started in agreement.gather(events.WorkerStarted(pid=os.getpid(), rank=agreement.rank, host=platform.node())):
        records.event(started)
    return ledger


class Worker:
    """The loop's host: hands what happens on this worker to ledger, records and checkpoints."""

    def __init__(
        self,
        state: TrainState,
        agreement: Agreement,
        records: Records,
        ledger: Ledger,
        stream: BatchStream,
        held_out: HeldOut,
        saving: Saving,
        task: WorkerTask,
    ) -> None:
        self._state, self._agreement, self._records, self._ledger = state, agreement, records, ledger
        self._stream, self._held_out, self._saving, self._facts = stream, held_out, saving, task.facts
        self._plan = task.plan
        self._notices, self._urgent = Notices(agreement), False
        self._new_bad: list[events.BadRow] = []
        self._bad_named = state.bad_rows
        self._reasons: collections.Counter[str] = collections.Counter()
        self._decoders_named = False

    @functools.cached_property
    def _rows(self) -> OpenPlan:
        return OpenPlan(self._plan)

    def stepped(self, report: StepReport) -> None:
        """Note the step's rows for the ledger, and keep the bad ones."""
        self._records.step = report.step
        self._ledger.record(report.step, report.batches)
        for batch in report.batches:
            for g, code, key in zip(batch.g_b.tolist(), batch.code_b.tolist(), batch.keys, strict=True):
                if g >= 0 and code != 0:
                    shard = self._rows.openings(g, g + 1)[0].sample.shard if code == Code.DAMAGED else ""
                    self._new_bad.append(events.BadRow(g=g, reason=Code(code).reason, key=key, shard=shard))

    def log(self, line: MetricsLine) -> None:
        """Write a line of metrics with the data path's figures; new bad rows become events."""
        self._name_decoders()
        self.name_bad_rows()
        counters = summed(self._agreement.gather(self._stream.counters))
        if self._agreement.rank == 0:
            figures = data_figures(counters) | self._stream.ray_stats()[0]
            self._records.line(line.joined(figures), self._state.extent.steps)

    def _name_decoders(self) -> None:
        if not self._decoders_named:
            self._decoders_named = True
            pids = itertools.chain.from_iterable(self._agreement.gather(sorted(self._stream.decoder_pids)))
            for pid in sorted(set(pids)):
                self._records.event(events.DecoderStarted(pid=pid))

    def name_bad_rows(self) -> collections.Counter[str]:
        """Write an event for each new bad row of any worker; returns how many the attempt has named, by reason."""
        if self._state.bad_rows > self._bad_named:  # the count is that of all workers: all gather, or none
            self._bad_named = self._state.bad_rows
            for bad in itertools.chain.from_iterable(self._agreement.gather(self._new_bad)):
                self._records.event(bad)
                self._reasons[f"{bad.reason} ({bad.shard})" if bad.shard else bad.reason] += 1
            self._new_bad = []
        return self._reasons

    def draw(self, report: StepReport) -> None:
        """Draw reconstructions of rank 0's own pairs."""
        self._records.pictures(self._state, report.batches[0])

    def checkpoint(self, line: MetricsLine) -> None:
        """Save. The ledger comes first: what a checkpoint covers must be written before anyone can resume from it."""
        steps = self._agreement.gather(self._ledger.take())
        if self._agreement.rank == 0:
            self._ledger.write(steps)
        known_bad = dict(collections.ChainMap(*self._agreement.gather(self._stream.known_bad)))
        wait, self._urgent = self._urgent, False
        if self._agreement.rank != 0:
            self._saving.join(self._state, line, wait)
            return
        self._records.flush(self._stream.ray_stats()[1])
        self._saving.save(self._state, self._facts.model_copy(update={"verdicts": known_bad}), line, wait)

    def held_out(self) -> dict[str, float]:
        """Return losses on the validation split."""
        return self._held_out.losses(self._state)

    def must_save_now(self) -> bool:
        """Return whether a node is about to be preempted. The checkpoint is then uploaded before training goes on."""
        notice = self._notices.new(self._state.step)
        if notice is not None:
            self._urgent = True
            ranks = list(notice.preempted_ranks)
            self._records.event(events.Preemption(deadline_ms=notice.deadline_ms, ranks=ranks))
        return notice is not None
