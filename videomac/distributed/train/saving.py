"""Checkpoints of an attempt: written by rank 0, reported by all workers, and given to the probe when one is due."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable

import ray.train
from ray.train import Checkpoint, CheckpointUploadMode, ValidationTaskConfig

from videomac.config import Probe
from videomac.distributed.train import checkpoint_list
from videomac.distributed.train.board import BoardClient
from videomac.distributed.train.records import Records
from videomac.pretrain import checkpoint
from videomac.pretrain.step import TrainState
from videomac.records import events
from videomac.records.checkpoint import DataFacts
from videomac.records.metrics import MetricsLine


class Saving:
    """Writes and reports checkpoints under names that no other checkpoint of the run has."""

    def __init__(self, records: Records, probes: Probes, taken_names: Iterable[str]) -> None:
        self._records, self._probes, self._taken_names = records, probes, set(taken_names)

    def save(self, state: TrainState, facts: DataFacts, line: MetricsLine, wait: bool) -> None:
        """Rank 0: write the state and report it; `wait` for its upload, which otherwise goes on beside training."""
        checkpoint_list.back_up(self._records.folder)
        name, path = self._free_name(state.step), tempfile.mkdtemp(prefix="videomac_checkpoint_")
        begin = time.monotonic()
        checkpoint.save(state, path, facts)
        self._records.event(events.CheckpointWritten(name=name, write_s=round(time.monotonic() - begin, 3)))
        ray.train.report(
            reported_figures(state, line),
            checkpoint=Checkpoint.from_directory(path),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=_mode(wait),
            validation=self._probes.next(state.finished),
        )
        self._records.last_checkpoint = name

    def join(self, state: TrainState, line: MetricsLine, wait: bool) -> None:
        """Other ranks: take part in the report."""
        ray.train.report(reported_figures(state, line), checkpoint_upload_mode=_mode(wait))

    def _free_name(self, step: int) -> str:
        """Return `step_NNNNNNN`, with a suffix if a damaged checkpoint has that name: Ray would delete both as one."""
        name = plain = f"step_{step:07d}"
        repeat = 1
        while name in self._taken_names:
            repeat += 1
            name = f"{plain}_{repeat}"
        self._taken_names.add(name)
        return name


class Probes:
    """When a checkpoint is scored: each `probe.every_checkpoints`, within a share of the attempt's time."""

    def __init__(self, probe: Probe | None, board: BoardClient) -> None:
        self._probe, self._board = probe, board
        self._checkpoints, self._begin = 0, time.monotonic()

    def next(self, finished: bool) -> ValidationTaskConfig | bool:
        """Return the task for the next checkpoint, or False. Probes that took more than `probe.max_share` are skipped,
        but for the last checkpoint's."""
        if self._probe is None:
            return False
        self._checkpoints += 1
        spent_s = self._board.read().get("probe_s", 0.0)
        within = spent_s <= self._probe.max_share * (time.monotonic() - self._begin)
        due = self._checkpoints % self._probe.every_checkpoints == 0 and (within or finished)
        return ValidationTaskConfig(timeout_s=self._probe.timeout_s) if due else False


def reported_figures(state: TrainState, line: MetricsLine) -> dict[str, float]:
    """Return the numbers that Ray Train keeps with a checkpoint."""
    return line.figures() | {"step": state.step, "rows": state.rows_used, "finished": state.finished}


def _mode(wait: bool) -> CheckpointUploadMode:
    return CheckpointUploadMode.SYNC if wait else CheckpointUploadMode.ASYNC
