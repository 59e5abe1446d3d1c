"""`pretrain(config)`: one run from start or resume to end, driven by Ray Train."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
import ray.train
from ray.train.constants import TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.constants import ENV_VARS_TO_PROPAGATE

import videomac.errors
from videomac.config import Pretrain, check_inputs
from videomac.data.clip import decoder_version
from videomac.data.plan import Plan, read_plan
from videomac.distributed.cluster import connected
from videomac.distributed.data.decoding import cpus_needed
from videomac.distributed.train import board as progress
from videomac.distributed.train import checkpoint_list as snapshot
from videomac.distributed.train.checkpoint_list import CHECKPOINTS
from videomac.distributed.train.probe import log_rest, validation_config
from videomac.distributed.train.worker import train_worker
from videomac.errors import CheckpointError, ClusterError, TrainingError, VideomacError
from videomac.evaluation.labelled_data import check_labelled_data
from videomac.pretrain.resume import refuse_other_config
from videomac.pretrain.setup import derive_extent, describe_extent
from videomac.pretrain.writers import check_installed
from videomac.storage import lease
from videomac.storage.run_folder import RunFolder

START_ATTEMPTS = 4
"""Attempts to start a group of workers within `workers.start_timeout_s`."""


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished run left."""

    folder: str
    """Path or URL of the run folder."""
    checkpoint: str
    """Path or URL of the last checkpoint."""
    metrics: dict[str, Any]
    """Numbers of the last line of metrics."""
    was_finished: bool
    """The run had ended before: nothing was trained."""


def pretrain(settings: Pretrain) -> RunResult:
    """Trains the run to its end; a run that was interrupted goes on, a finished one returns at once.

    Raises:
        ConfigError: the run folder holds a run with other keys; a writer that is not installed; data or networks that
            cannot be built.
        ClusterError: another driver has this run, or the cluster lacks what is asked for.
        CheckpointError, DataError, StorageError, TrainingError: why training cannot go on.
    """
    logging.getLogger("ray.train").setLevel(logging.ERROR)  # its snapshot notices don't concern the user
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
        check_labelled_data(settings.probe.evaluate, "probe.evaluate")
    plan = read_plan(settings.data, settings.run.seed)
    facts = _facts(settings, plan)
    end = _End()
    lost = ClusterError(f"{folder.url}: the lease was lost to another driver; this one has stopped")
    with connected(), lease.held(folder.url, lambda: end(lost), _say):
        refuse_other_config(folder, settings)  # again: another driver may have begun the run in the meantime
        folder.write("config.yaml", settings.to_yaml().encode())
        if (mended := snapshot.mend(folder)) is not None:
            _say(mended)
        _say(describe_extent(settings, derive_extent(settings, plan.rows_per_epoch, settings.workers.count)))
        _warn_of_shortage(settings)
        result = _fit(settings, folder, plan, facts, end)
        log_rest(settings, folder)
    return _conclude(folder, result)


class _End:
    """Ends the driver's wait for Ray Train, from any thread, with an error of ours."""

    def __init__(self) -> None:
        self.error: VideomacError | None = None
        self._controllers: list[Any] = []

    def __call__(self, error: VideomacError) -> None:
        self.error = error
        self._kill()

    @contextlib.contextmanager
    def of(self, trainer: _Trainer) -> Iterator[None]:
        """Also an interrupt (Ctrl-C) ends the controller."""
        self._controllers = trainer.controllers
        try:
            yield
        except KeyboardInterrupt:
            self._kill()
            raise
        except ray.exceptions.RayActorError as error:
            reason = ClusterError(f"Ray Train's controller is gone ({error}); the same command goes on where it was")
            raise self.error or reason from error

    def _kill(self) -> None:
        for controller in self._controllers:
            ray.kill(controller)  # its workers end with it


class _Trainer(TorchTrainer):
    """Ray Train's trainer whose controller can be ended by others.

    Ray's own answer to an interrupt is `sys.exit(0)`, and it waits for ever while the controller waits for workers.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.controllers: list[Any] = []
        super().__init__(*args, **keywords)

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controllers.append(controller)


def _fit(settings: Pretrain, folder: RunFolder, plan: Plan, facts: dict[str, Any], end: _End) -> ray.train.Result:
    board: Any = progress.Board.remote()
    # Absolute, since a node may lack the driver's working folder.
    config = settings if "://" in folder.url else settings.with_values(**{"run.storage": str(Path(folder.url).parent)})
    task = {"config": config, "plan": plan, "board": board, "facts": facts, "folder": os.getcwd()}
    trainer = _Trainer(
        train_worker,
        train_loop_config=task,
        scaling_config=_scaling(settings),
        torch_config=TorchConfig(
            backend="nccl" if settings.workers.gpu else "gloo", timeout_s=int(settings.workers.collective_timeout_s)
        ),
        validation_config=validation_config(config, board),
        run_config=ray.train.RunConfig(
            name=CHECKPOINTS,
            storage_path=folder.url,
            failure_config=_failures(settings),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=settings.checkpoint.keep),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )
    limit_s = settings.workers.start_timeout_s
    watched = progress.silence_limited(board, limit_s, lambda: end(_no_workers(settings)))
    try:
        with _ray_train_environment(settings), progress.shown(board), watched, end.of(trainer):
            return trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _explained(error, settings) from error
    finally:
        ray.kill(board)


def _failures(settings: Pretrain) -> ray.train.FailureConfig:
    """Restarts after lost workers; attempts to start a group are repeated until the driver ends them.

    A trial of Ray Tune runs beside the main thread, from where nobody can end the controller: there, attempts are
    counted.
    """
    in_main = threading.current_thread() is threading.main_thread()
    return ray.train.FailureConfig(
        max_failures=settings.workers.max_failures, controller_failure_limit=-1 if in_main else START_ATTEMPTS - 1
    )


def _scaling(settings: Pretrain) -> ray.train.ScalingConfig:
    workers = settings.workers
    resources = {"CPU": workers.cpus} | ({"GPU": 1.0} if workers.gpu else {})
    if workers.min_count is None or workers.min_count == workers.count:
        return ray.train.ScalingConfig(num_workers=workers.count, use_gpu=workers.gpu, resources_per_worker=resources)
    return ray.train.ScalingConfig(
        num_workers=(workers.min_count, workers.count),
        use_gpu=workers.gpu,
        resources_per_worker=resources,
        elastic_resize_monitor_interval_s=30.0,
    )


@contextlib.contextmanager
def _ray_train_environment(settings: Pretrain) -> Iterator[None]:
    """What Ray Train takes from the environment only: time limits, all of them off or long by default, and the cluster.

    An actor of Ray Train asks "the" cluster of this machine whether the controller lives. Where several run it asks the
    last one that was started, hears of no such controller, and takes the workers' places away, unless it is told.
    """
    ENV_VARS_TO_PROPAGATE.update({"RAY_ADDRESS", TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S})
    wanted = {
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
        # Several attempts: the one after a lost node still counts on it, and only the next one makes do with less.
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(settings.workers.start_timeout_s / START_ATTEMPTS),
        "RAY_TRAIN_COLLECTIVE_TIMEOUT_S": str(settings.workers.collective_timeout_s),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # a report waits for the next check
        TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S: "5",  # a hung worker takes no leave; 30 s by default
    }
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _facts(settings: Pretrain, plan: Plan) -> dict[str, Any]:
    """What a checkpoint must remember of the data beside the configuration."""
    return {"manifest_sha256": plan.digest, "decoder": decoder_version(settings.data.decoder)}


def _finished(folder: RunFolder) -> RunResult | None:
    try:
        result = ray.train.Result.from_path(f"{folder.url}/{CHECKPOINTS}")
    except (RuntimeError, ValueError):  # no run there yet, or half a list of its checkpoints
        return None
    if result.checkpoint is None or not (result.metrics or {}).get("finished"):
        return None
    return RunResult(folder.url, _url(folder, result.checkpoint), result.metrics or {}, was_finished=True)


def _conclude(folder: RunFolder, result: ray.train.Result) -> RunResult:
    stopped = (result.return_value or {}).get("stopped")
    if stopped is not None:
        name, message = stopped
        raise getattr(videomac.errors, name)(message)
    if result.checkpoint is None:
        raise TrainingError(f"{folder.url}: training ended without a checkpoint; see {folder.url}/events.jsonl")
    return RunResult(folder.url, _url(folder, result.checkpoint), result.metrics or {}, was_finished=False)


def _url(folder: RunFolder, checkpoint: ray.train.Checkpoint) -> str:
    return f"{folder.url}/{CHECKPOINTS}/{checkpoint.path.rstrip('/').rpartition('/')[2]}"


def _warn_of_shortage(settings: Pretrain) -> None:
    """A request beyond the present cluster may be met by an autoscaler: said at once, an error after the timeout."""
    shortage = _shortage(settings)
    if shortage:
        _say(f"{shortage}; waiting up to {settings.workers.start_timeout_s:g} s for more nodes")


def _shortage(settings: Pretrain) -> str | None:
    workers, data = settings.workers, settings.data
    least = workers.min_count or workers.count
    cpus = least * workers.cpus + cpus_needed(data, least)
    gpus = least * workers.gpu
    have = ray.cluster_resources()
    if cpus <= have.get("CPU", 0) and gpus <= have.get("GPU", 0):
        return None
    return (
        f"{least} workers of {workers.cpus:g} CPUs, with {data.actors} decode actors of {data.cpus_per_actor:g}"
        f" each (twice where one window of data ends and the next begins), need {cpus:g} CPUs and {gpus} GPUs; "
        f"the cluster has {have.get('CPU', 0):g} and {have.get('GPU', 0):g}"
    )


def _explained(error: ray.train.TrainingFailedError, settings: Pretrain) -> VideomacError:
    """Ray Train's failure as one of ours: the first worker's own error where it is one, else the cause in one line."""
    failures = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items()):
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, VideomacError):
                return type(cause)(f"{cause} (worker {rank})")
            cause = cause.__cause__ or getattr(cause, "cause", None)
    last = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if failures:
        return TrainingError(
            f"training workers failed more than workers.max_failures = {settings.workers.max_failures} times; "
            f"the last time worker {min(failures)}: {last}; the same command resumes from the last checkpoint"
        )
    if "snapshot" in str(error) and "does not exist" in str(error):
        return CheckpointError(f"a checkpoint that the run knows of was deleted: {last}; choose another run.name")
    if "WorkerGroupStartup" in repr(error) + repr(getattr(error, "controller_failure", None)):
        return _no_workers(settings, f" ({last})")
    return ClusterError(f"Ray Train gave up: {last}; the same command resumes from the last checkpoint")


def _no_workers(settings: Pretrain, reason: str = "") -> ClusterError:
    shortage = _shortage(settings) or "the cluster has enough CPUs in all, but perhaps on no single node"
    return ClusterError(
        f"no training worker lived for workers.start_timeout_s = {settings.workers.start_timeout_s:g} s: {shortage}; "
        f"lower workers.count or workers.cpus, add nodes, or raise the time for slow ones{reason}"
    )


def _say(text: str) -> None:
    print(f"pretrain: {text}", flush=True)
