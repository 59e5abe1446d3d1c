"""Ray Train's trainer as a run needs it: its workers, its environment, and how any thread can end it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import ray
import ray.exceptions
import ray.train
from ray.actor import ActorHandle
from ray.train.torch import TorchConfig, TorchTrainer

from videomac.config import Pretrain, Workers
from videomac.distributed.ray_internals import SHUTDOWN_TIMEOUT, end_controller, killable_trainer
from videomac.distributed.train.checkpoint_list import CHECKPOINTS
from videomac.distributed.train.probe import validation_config
from videomac.distributed.train.worker import WorkerTask, train_worker
from videomac.errors import ClusterError, VideomacError
from videomac.facts.heap import FREED_MEMORY_STAYS

START_ATTEMPTS = 4
"""Elastic groups: attempts to find room for the workers within `workers.start_timeout_s`. The attempt after a lost node
still counts on it, and only the next one makes do with fewer workers."""


class Ending:
    """Ends the driver's wait for Ray Train, from any thread, with an error of ours."""

    def __init__(self) -> None:
        self.error: VideomacError | None = None
        self.controller: ActorHandle | None = None

    def __call__(self, error: VideomacError) -> None:
        """End it now, or as soon as there is a controller."""
        self.error = error
        self._kill()

    def started(self, controller: ActorHandle) -> None:
        """Note the controller of this run's trainer."""
        self.controller = controller
        if self.error is not None:
            self._kill()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the error given, or one of ours, when the controller ends before its time; Ctrl-C ends it too."""
        try:
            yield
        except KeyboardInterrupt:
            self._kill()
            raise
        except ray.exceptions.RayActorError as error:
            reason = ClusterError(f"Ray Train's controller died ({error}); the same command resumes the run")
            raise self.error or reason from error

    def _kill(self) -> None:
        if self.controller is not None:
            end_controller(self.controller)


def build_trainer(settings: Pretrain, folder_url: str, task: WorkerTask, ending: Ending) -> TorchTrainer:
    """Return the trainer of a run; its checkpoints lie in `folder_url`, and `settings` hold no relative storage."""
    workers = settings.workers
    return killable_trainer(
        ending.started,
        environment(settings),
        train_worker,
        train_loop_config={"task": task},
        scaling_config=scaling(workers),
        torch_config=TorchConfig(
            backend="nccl" if workers.gpu else "gloo", timeout_s=int(workers.collective_timeout_s)
        ),
        validation_config=validation_config(settings, task.board, task.cwd),
        run_config=ray.train.RunConfig(
            name=CHECKPOINTS,
            storage_path=folder_url,
            # Attempts to start a group go on until the driver ends them (`starting.py`).
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures, controller_failure_limit=-1),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=settings.checkpoint.keep),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
            worker_runtime_env={} if workers.gpu else {"env_vars": FREED_MEMORY_STAYS},
        ),
    )


def scaling(workers: Workers) -> ray.train.ScalingConfig:
    """Return how many workers Ray Train is asked for, and what each of them needs."""
    resources = {"CPU": workers.cpus} | ({"GPU": 1.0} if workers.gpu else {})
    if workers.min_count is None or workers.min_count == workers.count:
        return ray.train.ScalingConfig(num_workers=workers.count, use_gpu=workers.gpu, resources_per_worker=resources)
    return ray.train.ScalingConfig(
        num_workers=(workers.min_count, workers.count),
        use_gpu=workers.gpu,
        resources_per_worker=resources,
        elastic_resize_monitor_interval_s=30.0,
    )


def environment(settings: Pretrain) -> dict[str, str]:
    """Return what Ray Train takes from its controller's environment only: the cluster, and time limits.

    An actor of Ray Train asks "the" cluster of this machine whether the controller lives. Where several run it asks the
    last one that was started, hears of no such controller, and takes the workers' places away, unless it is told.
    """
    workers = settings.workers
    elastic = workers.min_count is not None and workers.min_count < workers.count
    attempt_s = workers.start_timeout_s / (START_ATTEMPTS if elastic else 1)
    return {
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(attempt_s),  # how long one attempt looks for room
        "RAY_TRAIN_COLLECTIVE_TIMEOUT_S": str(workers.collective_timeout_s),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # a report waits for the next check
        SHUTDOWN_TIMEOUT: "5",  # a hung worker never leaves the process group; 30 s by default
    }
