"""What one training worker runs: it gathers device, state, data and records, and lets the plain loop do the rest."""

from __future__ import annotations

import collections
import contextlib
import itertools
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from ray.train import Checkpoint, CheckpointConsistencyMode, CheckpointUploadMode, ValidationTaskConfig

from videomac import errors
from videomac.config import Pretrain
from videomac.data.batch import Batch
from videomac.data.plan import Plan
from videomac.data.recipe import recipe_of
from videomac.data.spans import micro_steps
from videomac.data.status import Code
from videomac.distributed.cluster import enter
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.stats import data_figures, summed
from videomac.distributed.data.stream import BatchStream
from videomac.distributed.train import board as progress
from videomac.distributed.train import checkpoint_list as snapshot
from videomac.errors import CheckpointError, StorageError, VideomacError
from videomac.pretrain import checkpoint, loop
from videomac.pretrain.heldout import HeldOut
from videomac.pretrain.ledger import Ledger
from videomac.pretrain.pictures import reconstructions
from videomac.pretrain.resume import check_resumable
from videomac.pretrain.setup import build_state, derive_extent, describe_extent
from videomac.pretrain.step import StepReport
from videomac.pretrain.writers import Writer, numbers, open_writers
from videomac.storage.arrays import npz_bytes
from videomac.storage.run_folder import RAY_DATA_STATS, JsonLines, RunFolder

ASK_EVERY_S = 2.0
"""Seconds between two looks for a preemption notice; clouds give at least 30 s."""
MOST_STEPS_UNASKED = 100


def train_worker(task: dict[str, Any]) -> dict[str, Any]:
    """Ray Train's train function.

    Returns `{"stopped": None}` at the end of the run, or `{"stopped": [error class, message]}` when all workers agree
    that going on is no use: a restart by Ray Train would only fail again.
    """
    enter(task["folder"])
    settings: Pretrain = task["config"]  # the object itself: files and logs never see its secrets
    torch.set_num_threads(settings.workers.threads or max(1, int(settings.workers.cpus)))
    with progress.alive(task["board"]):
        worker = Worker(settings, task["plan"], task["board"], task["facts"])
        try:
            worker.train()
        except VideomacError as error:
            message = worker.stopped(error)
            if worker.is_alone_with(error):
                raise  # the other workers wait in a collective: only a new group can go on
            return {"stopped": [type(error).__name__, message]}
        finally:
            worker.close()
        return {"stopped": None}


class Worker:
    """The loop's host and its source of batches on one worker; rank 0 writes the run folder."""

    def __init__(self, settings: Pretrain, plan: Plan, board: Any, facts: dict[str, Any]) -> None:
        context = ray.train.get_context()
        self.settings, self._plan, self._board, self._facts = settings, plan, board, facts
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.folder = RunFolder(settings.run.storage, settings.run.name)
        self.metrics = JsonLines(self.folder, "metrics.jsonl", silent=self.rank != 0)
        self.events = JsonLines(self.folder, "events.jsonl", silent=self.rank != 0)
        self._writers: list[Writer] = open_writers(settings, self.folder) if self.rank == 0 else []
        self._bad: list[dict[str, Any]] = []
        self._known_bad = 0
        self._reasons: collections.Counter[str] = collections.Counter()
        self._last_saved = "none"
        self._taken_names: set[str] = set()
        self._notice: int | None = None
        self._urgent = False
        self._first: Batch | None = None
        self._asking = _Asking(self._gather)
        self._decoders_named = False
        self._data_error: VideomacError | None = None
        self._agreed = False
        self._checkpoints, self._begin = 0, time.monotonic()
        self._probes_logged = 0
        self._verdicts: dict[str, int] = {}

    def train(self) -> None:
        """Builds or resumes the state and trains to the run's end."""
        self._show(stage="pretrain: building the networks")
        extent = derive_extent(self.settings, self._plan.rows_per_epoch, self.world)
        known = [reported.checkpoint for reported in _reported_checkpoints()]
        self.state = build_state(self.settings, extent, ray.train.torch.get_device(), fresh=not known)
        self._resume(known)
        attempt = self._broadcast(sum(n.endswith("_rank_000_start.json") for n in self.folder.names("ledger")) + 1)
        self.ledger = Ledger(self.folder, attempt, self.rank, self.state.step)
        self._event(
            "attempt", attempt=attempt, rows=self.state.rows_used, describes=describe_extent(self.settings, extent)
        )
        for who in self._gather({"pid": os.getpid(), "rank": self.rank, "host": platform.node()}):
            self._event("worker", **who)
        if self.state.finished:
            return
        self._held_out = HeldOut(self.settings, self.rank, self.world)
        self._show(stage="pretrain: waiting for the first batch", steps=extent.steps)
        with contextlib.closing(self._open_batches()) as self._source:
            self._first = self._agreed_first_batch()
            loop.run(self.state, self, self)
        self._show(
            stage="pretrain: waiting for the last checkpoint" + (" and its score" if self.settings.probe else "")
        )

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next micro-batch; remembers an error of the data path, which the other workers don't know of."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._source)
        except VideomacError as error:
            self._data_error = error
            raise

    def is_alone_with(self, error: VideomacError) -> bool:
        """Whether the other workers don't know of it: reading rows, or writing to a storage, failed here."""
        own = error is self._data_error or isinstance(error, StorageError)
        return self.world > 1 and own and not self._agreed

    def _agreed_first_batch(self) -> Batch:
        """All workers have their first batch, or all stop: a shortage costs its time limit once, and no restart."""
        batch, failure = None, None
        try:
            batch = next(self._source)
        except VideomacError as error:
            failure = (type(error).__name__, str(error))
        for rank, found in enumerate(self._gather(failure)):
            if found is not None:
                self._agreed = True
                raise getattr(errors, found[0])(f"{found[1]} (worker {rank})")
        assert batch is not None, "no error, hence a batch"
        return batch

    @property
    def wait_s(self) -> float:
        """Time blocked in the data path after the first batch."""
        return self._source.wait_s

    def _open_batches(self) -> BatchStream:
        """From the next row on; the last step may reach beyond the run's rows where E was rescaled."""
        extent, start = self.state.extent, self.state.rows_used
        steps_left = math.ceil((extent.rows_in_run - start) / extent.batch_size)
        stop = start + steps_left * extent.batch_size
        data, train = self.settings.data, self.settings.train
        spans = micro_steps(
            start,
            stop,
            batch_size=extent.batch_size,
            micro_batch=train.micro_batch,
            pairs_per_open=data.pairs_per_open,
            rank=self.rank,
            world=self.world,
        )
        recipe = recipe_of(data, self.settings.model, self.settings.run.seed)
        decoding = Decoding(self._plan, recipe, train.micro_batch, self.world, self.settings.workers.gpu)
        return BatchStream(decoding, spans, self._verdicts)

    def stepped(self, report: StepReport) -> None:
        """The ledger's line, and what was bad."""
        self.ledger.record(report.step, report.batches)
        for batch in report.batches:
            for g, code, key in zip(batch.g_b.tolist(), batch.code_b.tolist(), batch.keys, strict=True):
                if g >= 0 and code != 0:
                    self._bad.append({"g": g, "reason": Code(code).reason, "key": key})

    def log(self, line: dict[str, Any], report: StepReport) -> None:
        """Metrics to every writer, bad rows of all workers to the events, figures to the driver's screen."""
        self._name_decoders()
        self.name_bad_rows()
        counters = summed(self._gather(self._source.counters))
        if self.rank != 0:
            return
        line |= data_figures(counters) | self._source.ray_stats()[0] | self._probe_figures()
        self.metrics.write(line)
        self._to_writers(lambda writer: writer.scalars(report.step, numbers(line)))
        shown = {key: line[key] for key in ("step", "loss", "pairs_per_s", "wait_share", "eta_s")}
        self._show(stage="pretrain: training", steps=self.state.extent.steps, **shown)

    def _name_decoders(self) -> None:
        if not self._decoders_named:
            self._decoders_named = True
            for pid in sorted(set(itertools.chain.from_iterable(self._gather(sorted(self._source.decoder_pids))))):
                self._event("decoder", pid=pid)

    def name_bad_rows(self) -> collections.Counter[str]:
        """An event for each new bad row of any worker; how many this attempt has named, by reason."""
        if self.state.bad_rows > self._known_bad:  # the count is that of all workers: all gather, or none
            self._known_bad = self.state.bad_rows
            for bad in itertools.chain.from_iterable(self._gather(self._bad)):
                self._event("bad_row", **bad)
                self._reasons[bad["reason"]] += 1
            self._bad = []
        return self._reasons

    def draw(self, report: StepReport) -> None:
        """Rank 0's own pairs."""
        batch = report.batches[0]
        if self.rank != 0 or not batch.weight_b.any():
            return
        arrays = reconstructions(self.state, batch, self.settings.log.picture_pairs)
        self.folder.write(f"pictures/step_{report.step:07d}.npz", npz_bytes(arrays))
        self._to_writers(lambda writer: writer.pictures(report.step, arrays))

    def _to_writers(self, act: Callable[[Writer], None]) -> None:
        """A metrics server that is down must not end a run: its writer is given up, with an event."""
        for writer in list(self._writers):
            try:
                act(writer)
            except Exception as error:  # noqa: BLE001 - each library raises its own
                self._writers.remove(writer)
                self._event("writer_lost", writer=type(writer).__name__, message=str(error))
                self._show(notices=[f"pretrain: {type(writer).__name__} is given up ({error})"])

    def checkpoint(self, line: dict[str, Any]) -> None:
        """The ledger first: what a checkpoint covers must be written before anyone can resume from it."""
        self.ledger.flush()
        facts = self._facts | {"verdicts": dict(collections.ChainMap(*self._gather(self._source.known_bad)))}
        figures = numbers(line) | {
            "step": self.state.step,
            "rows": self.state.rows_used,
            "finished": self.state.finished,
        }
        # Before a node goes, the upload is waited for; else it goes on beside the training.
        mode, self._urgent = CheckpointUploadMode.SYNC if self._urgent else CheckpointUploadMode.ASYNC, False
        if self.rank != 0:
            ray.train.report(figures, checkpoint_upload_mode=mode)
            return
        self._to_writers(lambda writer: writer.flush())
        for record in (self.metrics, self.events):
            record.flush()
        self.folder.write(RAY_DATA_STATS, self._source.ray_stats()[1].encode())
        snapshot.keep(self.folder)
        name, path = self._free_name(), tempfile.mkdtemp(prefix="videomac_checkpoint_")
        begin = time.monotonic()
        checkpoint.save(self.state, path, facts)
        self._event("checkpoint", name=name, write_s=round(time.monotonic() - begin, 3))
        ray.train.report(
            figures,
            checkpoint=Checkpoint.from_directory(path),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=mode,
            validation=self._validation(),
        )
        self._last_saved = name

    def _validation(self) -> ValidationTaskConfig | bool:
        """Each `probe.every_checkpoints`, unless probes have taken more than their share of the attempt so far."""
        probe = self.settings.probe
        if probe is None:
            return False
        self._checkpoints += 1
        figures: dict[str, Any] = ray.get(self._board.read.remote())
        within = figures.get("probe_s", 0.0) <= probe.max_share * (time.monotonic() - self._begin)
        due = self._checkpoints % probe.every_checkpoints == 0 and (within or self.state.finished)
        return ValidationTaskConfig(timeout_s=probe.timeout_s) if due else False

    def _probe_figures(self) -> dict[str, float]:
        """Scores of the newest probe that has ended since the last line."""
        if self.settings.probe is None:
            return {}
        figures: dict[str, Any] = ray.get(self._board.read.remote())
        probes = figures.get("probes", [])
        new, self._probes_logged = probes[self._probes_logged :], len(probes)
        return new[-1] if new else {}

    def held_out(self) -> dict[str, float]:
        """Figures of the validation split."""
        return self._held_out.losses(self.state)

    def must_save_now(self) -> bool:
        """Asked after each step; Ray is asked now and then, as its answer is a barrier over all workers."""
        if not self._asking.due(self.state.step):
            return False
        info = ray.train.get_preemption_info()
        if info is None or self._notice == info.deadline_ms:
            return False
        self._notice = info.deadline_ms
        self._urgent = True
        self._event("preemption", deadline_ms=info.deadline_ms, ranks=info.preempted_ranks)
        return True

    def stopped(self, error: VideomacError) -> str:
        """Writes down why the run ends early; the message with the last good checkpoint."""
        message = f"{error}; last good checkpoint: {self._last_saved}"
        self._event("stopped", error=type(error).__name__, message=message)
        return message

    def close(self) -> None:
        """Leaves nothing unwritten; also after an error."""
        self._to_writers(lambda writer: writer.close())
        for record in (self.metrics, self.events):
            record.flush()

    def _resume(self, known: list[Checkpoint]) -> None:
        """Goes on from the newest whole checkpoint, as all workers see it; starts anew only if there is none at all.

        Raises:
            CheckpointError: every checkpoint is damaged, or one of another network.
        """
        self._taken_names = {candidate.path.rstrip("/").rpartition("/")[2] for candidate in known}
        complaints = []
        for candidate in reversed(known):
            with candidate.as_directory() as path:
                complaint = _first(self._gather(_complaint(path)))
                if complaint is None:
                    facts = checkpoint.load(self.state, path)
                    check_resumable(self.state, facts, self._facts)
                    self._last_saved = candidate.path.rpartition("/")[2]
                    self._known_bad, self._verdicts = self.state.bad_rows, facts["verdicts"]
                    return
            complaints.append(complaint)
            self._event("damaged_checkpoint", message=complaint)
            self._show(notices=[f"pretrain: {complaint}; trying the checkpoint before"])
        if complaints:
            raise CheckpointError(f"no checkpoint of {self.folder.url} is whole: {complaints[0]}")

    def _free_name(self) -> str:
        """`step_NNNNNNN`, with a suffix where a damaged checkpoint has that name: Ray would delete both as one."""
        name = plain = f"step_{self.state.step:07d}"
        repeat = 1
        while name in self._taken_names:
            repeat += 1
            name = f"{plain}_{repeat}"
        self._taken_names.add(name)
        return name

    def _event(self, kind: str, **details: Any) -> None:
        step = self.state.step if hasattr(self, "state") else 0
        self.events.write({"event": kind, "time": time.time(), "step": step, **details})

    def _show(self, **figures: Any) -> None:
        if self.rank == 0:
            self._board.post.remote(figures)

    def _gather(self, value: Any) -> list[Any]:
        if not dist.is_initialized():
            return [value]
        values = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def _broadcast(self, value: Any) -> Any:
        return self._gather(value)[0]


class _Asking:
    """After which steps to ask for a preemption notice: all workers agree, whatever their clocks say."""

    def __init__(self, gather: Callable[[Any], list[Any]]) -> None:
        self._gather, self._next = gather, 0
        self._last: tuple[int, float] | None = None

    def due(self, step: int) -> bool:
        """True about each `ASK_EVERY_S`, at the pace of the slowest worker."""
        if step < self._next:
            return False
        now = time.monotonic()
        step_before, before = self._last or (step - 1, now - ASK_EVERY_S)
        pace_s = max(self._gather((now - before) / (step - step_before)))
        self._last, self._next = (step, now), step + min(max(1, int(ASK_EVERY_S / pace_s)), MOST_STEPS_UNASKED)
        return True


def _reported_checkpoints() -> list[Any]:
    """All committed checkpoints that Ray Train keeps of this run, oldest first."""
    return ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)


def _complaint(path: str) -> str | None:
    try:
        checkpoint.verify(path)
    except CheckpointError as error:
        return str(error)
    return None


def _first(complaints: list[str | None]) -> str | None:
    return next((complaint for complaint in complaints if complaint is not None), None)
