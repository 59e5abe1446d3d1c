"""Join or start a Ray cluster, and run many tasks on it with a bounded number in flight.

Code outside `distributed` that wants tasks (`shards`) uses `task` and `bounded_map` and never imports Ray.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from videomac.distributed import preflight
from videomac.errors import ClusterError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

LEAST_SUBMITTED = 64
"""Tasks that are submitted even if there are no CPUs yet: an autoscaler starts nodes for tasks that wait, so it must
see them. A waiting task costs the driver a few KB; Ray starts no more tasks than fit."""
REFILL_S = 5.0
"""How often the limit is asked again while no task ends: nodes come and go."""


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of one task."""

    value: R | None
    error: BaseException | None = None
    """What the task raised, or a `ClusterError` if its process died; Ray's own error is the cause of either."""

    def result(self) -> R:
        """Return the task's result, or raise its error."""
        if self.error is not None:
            raise self.error
        return self.value  # pyright: ignore[reportReturnType] - a task without an error has a result


def task(function: Callable[P, R], num_cpus: float = 1) -> Callable[P, ray.ObjectRef[R]]:
    """Return `function` as a Ray task: called with the same arguments, it starts there and returns a reference."""
    remote: Any = ray.remote(num_cpus=num_cpus)(function)
    return remote.remote


def visible_demand(resource: str = "CPU") -> int:
    """Return how many tasks to keep submitted: two for each unit of the resource, and enough to make nodes start."""
    return max(LEAST_SUBMITTED, 2 * int(ray.cluster_resources().get(resource, 0)))


def bounded_map(
    submit: Callable[[T], ray.ObjectRef[R]], items: Iterable[T], limit: int | Callable[[], int] = visible_demand
) -> Iterator[tuple[T, Outcome[R]]]:
    """Submit a task for every item, at most `limit` at a time, and yield each item with its outcome as it ends.

    Items are submitted in their order, each when there is room for it; they come back in the order in which they end.
    A `limit` that is a function is asked again whenever a task ends, and every few seconds. Leaving the iteration early
    cancels the tasks in flight.
    """
    waiting = iter(items)
    running: dict[ray.ObjectRef[R], T] = {}
    try:
        while True:
            most = limit() if callable(limit) else limit
            for item in itertools.islice(waiting, max(0, max(most, 1) - len(running))):
                running[submit(item)] = item
            if not running:
                return
            ended, _ = ray.wait(list(running), num_returns=1, timeout=REFILL_S)
            for reference in ended:
                yield running.pop(reference), _outcome(reference)
    finally:
        for reference in running if ray.is_initialized() else ():
            ray.cancel(reference)


def _outcome(reference: ray.ObjectRef[R]) -> Outcome[R]:
    try:
        return Outcome(ray.get(reference))
    except RayTaskError as error:
        error.cause.__cause__ = error
        return Outcome(None, error.cause)
    except RayError as error:
        lost = ClusterError(
            f"a Ray task ended without a result ({type(error).__name__}: {' '.join(str(error).split())[:200]}); if its "
            "node ran out of memory, run fewer tasks at a time (parallel=N); Ray's logs say more"
        )
        lost.__cause__ = error
        return Outcome(None, lost)


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Join the cluster of `RAY_ADDRESS` (Ray sets it inside a job), or else start one on this machine.

    A cluster that the caller has joined already is used and left running.

    Raises:
        ClusterError: the cluster at `RAY_ADDRESS` cannot be reached, or none can be started here.
    """
    if ray.is_initialized():
        yield
        return
    # An explicit "local" keeps Ray from joining any other cluster that runs on this machine.
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        preflight.refuse_long_temporary_folder()
    else:
        preflight.refuse_silent_address(address)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=None)
    except Exception as error:  # Ray raises a plain Exception when its processes time out on start
        if (advice := preflight.advice_for(error, address)) is not None:
            raise ClusterError(advice) from error
        if address == "local":
            raise ClusterError(
                f"Ray did not start on this machine ({error}); the machine may be busy: try again, or look into the "
                "logs of Ray's last session (ray/session_latest/logs in the folder for temporary files)"
            ) from error
        raise ClusterError(
            f"RAY_ADDRESS={address}: somebody answers there, but no Ray cluster lets this driver in ({error}); if the "
            "cluster asks for a token, set RAY_AUTH_MODE=token here, with RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH if it "
            "is not in ~/.ray/auth_token; else use the Ray version of the cluster, or unset RAY_ADDRESS to run on this "
            "machine alone"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def enter(folder: str) -> None:
    """Change to the driver's working folder, on nodes that have it.

    Ray Train and Ray Tune start functions in folders of their own, where relative paths mean something else.
    """
    if os.path.isdir(folder):
        os.chdir(folder)
