"""Every private name of Ray that the project uses, each with the reason; tests/unit/distributed/test_ray_internals.py
exercises them, and so bounds the versions of Ray that can be used.

This module imports no torch: decode actors import it through the throttle, and must stay small.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray._private import state as global_state
from ray._raylet import PlacementGroupID
from ray.actor import ActorHandle
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # pyright: ignore[reportAttributeAccessIssue] - generated
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group

if TYPE_CHECKING:
    from ray.train import Result
    from ray.train.torch import TorchTrainer

__all__ = [
    "SHUTDOWN_TIMEOUT", "SNAPSHOT_FILE", "ActorSeen", "ExecutionCallback", "actor_seen", "end_controller",
    "failed_to_start", "killable_trainer", "workers_seen",
]  # fmt: skip
# ExecutionCallback: Ray Data offers no public way to slow its scheduling loop down (`distributed/data/throttle.py`).

SHUTDOWN_TIMEOUT = "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S"
"""Undocumented environment variable: how long the end of a group waits for workers to leave their collectives."""
SNAPSHOT_FILE = "checkpoint_manager_snapshot.json"
"""Ray Train's list of the checkpoints that count; it is written in place, so a crash can truncate it
(`distributed/train/checkpoint_list.py`)."""


def killable_trainer(
    on_controller: Callable[[ActorHandle], None], env_vars: Mapping[str, str], *arguments: Any, **keywords: Any
) -> TorchTrainer:
    """Return a `TorchTrainer` that hands out its controller, so that any thread can end `fit()` by killing it.

    Ray keeps the controller to itself. On an interrupt it asks the controller to stop and calls `sys.exit(0)`, only in
    the main thread; while the controller waits for workers it never answers. A trial of Ray Tune has no way at all.

    Args:
        on_controller: called with the controller's handle before it has started.
        env_vars: environment of the controller, which passes what concerns workers on to them; what the environment of
            this process sets comes first. Given here, since `os.environ` is shared by all trials of a process.
        *arguments: of `TorchTrainer`.
        **keywords: of `TorchTrainer`.
    """
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.constants import get_env_vars_to_propagate
    from ray.train.v2._internal.execution.controller import TrainController

    class KillableTrainer(TorchTrainer):
        def _initialize_and_run_controller(self, **controller_arguments: Any) -> Result:
            """As in Ray 2.60, but for `env_vars` and `on_controller`, and without a handler for SIGINT."""
            given = {name: os.environ.get(name, value) for name, value in env_vars.items()}
            controller: Any = ray.remote(
                num_cpus=0,
                label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
                runtime_env={"env_vars": get_env_vars_to_propagate() | given},
            )(TrainController).remote(**controller_arguments)
            on_controller(controller)
            ray.get(controller.run.remote())
            return ray.get(controller.get_result.remote())

    return KillableTrainer(*arguments, **keywords)


def failed_to_start(error: BaseException | None) -> bool:
    """Return whether a failure of Ray Train's controller means that the workers could not be started.

    The public `ControllerError` carries one of several private exceptions.
    """
    from ray.train.v2._internal import exceptions

    kinds = (
        exceptions.WorkerGroupStartupFailedError,
        exceptions.WorkerGroupStartupTimeoutError,
        exceptions.InsufficientClusterResourcesError,
    )
    return isinstance(error, kinds)


def end_controller(controller: ActorHandle, wait_s: float = 10.0) -> None:
    """Kill Ray Train's controller and its workers, and give back the places that it holds or still asks for.

    Ray keeps the placement groups of a dead actor until the job ends. Ray Train has a cleaner for them, which asks the
    dashboard whether the controller lives, and which knows only of groups that have started.
    """
    ray.kill(controller)
    end = time.monotonic() + wait_s
    while actor_seen(controller).state != "DEAD" and time.monotonic() < end:
        time.sleep(0.1)
    for group in _placement_groups(controller):
        remove_placement_group(group)


def _placement_groups(controller: ActorHandle) -> list[PlacementGroup]:
    """Return what the public `placement_group_table` does not tell: the groups that this actor has created."""
    accessor = global_state.state._connect_and_get_accessor()
    table = [PlacementGroupTableData.FromString(entry) for entry in accessor.get_placement_group_table()]
    ours = controller._actor_id.binary()
    return [
        PlacementGroup(PlacementGroupID(entry.placement_group_id))
        for entry in table
        if entry.creator_actor_id == ours and entry.state != PlacementGroupTableData.REMOVED
    ]


@dataclasses.dataclass(frozen=True)
class ActorSeen:
    """What the cluster's table of actors says of one actor."""

    state: str
    """DEPENDENCIES_UNREADY, PENDING_CREATION (no process yet), ALIVE, RESTARTING or DEAD."""
    reason: str = ""
    """Of a dead actor: the last line of why it died."""


def actor_seen(actor: ActorHandle) -> ActorSeen:
    """Return the state of one actor.

    The public state API asks the dashboard, which a cluster need not have; the table itself is in the GCS.
    """
    return _as_seen(global_state.actors(actor._actor_id.hex()))


def workers_seen(controller: ActorHandle) -> list[ActorSeen]:
    """Return the states of all workers that a controller of Ray Train has asked for, the dead ones of the past too.

    Ray Train tells nobody how far a start has come: its controller answers no call while it waits for its workers.
    """
    address = global_state.actors(controller._actor_id.hex()).get("Address")
    job = global_state.actors(job_id=ray.JobID.from_hex(ray.get_runtime_context().get_job_id()))
    return [
        _as_seen(actor)
        for actor in job.values()
        if actor["ActorClassName"] == "RayTrainWorker" and actor["OwnerAddress"] == address
    ]


def _as_seen(actor: Mapping[str, Any]) -> ActorSeen:
    cause = actor.get("DeathCause")
    context = cause.WhichOneof("context") if cause is not None else None
    found = getattr(cause, context) if context else None
    text = getattr(found, "formatted_exception_string", "") or getattr(found, "error_message", "")
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return ActorSeen(actor.get("State", "PENDING_CREATION"), lines[-1] if lines else "")
