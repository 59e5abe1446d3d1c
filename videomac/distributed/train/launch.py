"""`pretrain(settings)`: the driver of one run, from its start or where it was interrupted to its end."""

from __future__ import annotations

import dataclasses
import logging
import os

import ray.train

from videomac.config import Pretrain, check_inputs, with_absolute_places
from videomac.data.open_clip import decoder_version
from videomac.distributed.cluster import connected
from videomac.distributed.train import checkpoint_list, failures, screen, starting
from videomac.distributed.train.board import BoardClient
from videomac.distributed.train.checkpoint_list import CHECKPOINTS
from videomac.distributed.train.probe import log_rest
from videomac.distributed.train.trainer import Ending, build_trainer
from videomac.distributed.train.worker import WorkerTask
from videomac.errors import ClusterError, TrainingError
from videomac.evaluation.labelled_data import UNREAD_BY_PROBES, check_all_read, check_labelled_data
from videomac.pretrain.heldout import read_training_plans
from videomac.pretrain.resume import refuse_other_config
from videomac.pretrain.setup import derive_extent, describe_extent
from videomac.pretrain.writers import check_installed
from videomac.records.checkpoint import DataFacts
from videomac.storage import lease
from videomac.storage.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished run left."""

    folder: str
    """Path or URL of the run folder."""
    checkpoint: str
    """Path or URL of the last checkpoint."""
    metrics: dict[str, float]
    """Numbers of the last line of metrics."""
    was_finished: bool
    """Whether the run had ended before, and nothing was trained."""


def pretrain(settings: Pretrain) -> RunResult:
    """Train a run to its end; resumes one that was interrupted, and returns at once if it has finished.

    Raises:
        ConfigError: the run folder holds a different run, a writer is not installed, or data or networks cannot be
            built.
        ClusterError: another driver has this run, or the cluster lacks what is asked for.
        CheckpointError, DataError, StorageError, TrainingError: why training cannot go on.
    """
    logging.getLogger("ray.train").setLevel(logging.ERROR)  # its notices about snapshots are not for users
    folder = RunFolder(settings.run.storage, settings.run.name)
    if refuse_other_config(folder, settings):
        finished = _finished(folder)
        if finished is not None:
            print(f"{folder.url}: finished at step {finished.metrics['step']}; nothing to do", flush=True)
            return finished
    else:
        check_inputs(settings.model, "model")  # weights to start from: a run that is resumed has its own
    check_installed(settings.log.writers)
    if settings.probe is not None:
        check_all_read(settings.probe.evaluate, UNREAD_BY_PROBES, "probe.evaluate")
        check_labelled_data(settings.probe.evaluate, "probe.evaluate")
    plan, held_out = read_training_plans(with_absolute_places(settings))
    facts = DataFacts(manifest_sha256=plan.digest, decoder=decoder_version(settings.data.decoder))
    ending = Ending()
    lost = ClusterError(f"{folder.url}: the lease was lost to another driver; this one has stopped")
    with connected(), lease.held(folder.url, lambda: ending(lost), _print):
        refuse_other_config(folder, settings)  # again: another driver may have started the run since
        folder.write("config.yaml", settings.to_yaml().encode())
        if (repaired := checkpoint_list.repair(folder)) is not None:
            _print(repaired)
        _print(describe_extent(settings, derive_extent(settings, plan.rows_per_epoch, settings.workers.count)))
        _warn_of_shortage(settings)
        board = BoardClient()
        task = WorkerTask(_with_absolute_storage(settings, folder), plan, board, facts, os.getcwd(), held_out)
        result = _fit(task, folder, board, ending)
        log_rest(settings, folder)
    return _conclude(folder, result)


def _fit(task: WorkerTask, folder: RunFolder, board: BoardClient, ending: Ending) -> ray.train.Result:
    settings = task.settings
    trainer = build_trainer(settings, folder.url, task, ending)
    watched = starting.limited(
        board,
        settings.workers.start_timeout_s,
        lambda: ending.controller,
        lambda seen: ending(failures.nothing_moves(settings, seen)),
    )
    try:
        with screen.shown(board), watched, ending.translated():
            return trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise failures.explained(error, settings) from error
    finally:
        board.close()


def _with_absolute_storage(settings: Pretrain, folder: RunFolder) -> Pretrain:
    """Return the settings that workers and probes get: they run in other working folders than the driver."""
    return settings.with_values(**{"run.storage": str(folder.local.parent)}) if folder.local else settings


def _finished(folder: RunFolder) -> RunResult | None:
    try:
        result = ray.train.Result.from_path(f"{folder.url}/{CHECKPOINTS}")
    except (RuntimeError, ValueError):  # no run there yet, or its list of checkpoints is damaged
        return None
    if result.checkpoint is None or not (result.metrics or {}).get("finished"):
        return None
    return RunResult(folder.url, _url(folder, result.checkpoint), result.metrics or {}, was_finished=True)


def _conclude(folder: RunFolder, result: ray.train.Result) -> RunResult:
    if result.return_value is not None and result.return_value.stopped is not None:
        raise result.return_value.stopped
    if result.checkpoint is None:
        raise TrainingError(f"{folder.url}: training ended without a checkpoint; see {folder.url}/events.jsonl")
    return RunResult(folder.url, _url(folder, result.checkpoint), result.metrics or {}, was_finished=False)


def _url(folder: RunFolder, checkpoint: ray.train.Checkpoint) -> str:
    return f"{folder.url}/{CHECKPOINTS}/{checkpoint.path.rstrip('/').rpartition('/')[2]}"


def _warn_of_shortage(settings: Pretrain) -> None:
    """Name a shortage at once. It is an error only after the timeout, since an autoscaler may add nodes."""
    lacking = failures.shortage(settings)
    if lacking:
        _print(f"{lacking}; waiting up to {settings.workers.start_timeout_s:g} s for more nodes")


def _print(text: str) -> None:
    print(f"pretrain: {text}", flush=True)
