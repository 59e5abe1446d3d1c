"""The one place that joins or starts a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from videomac.errors import ClusterError


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Joins the cluster of `RAY_ADDRESS` (Ray sets it inside a job), else starts one on this machine, quietly.

    A cluster that the caller has already joined is used and left running.

    Raises:
        ClusterError: the cluster at `RAY_ADDRESS` cannot be reached, or none can be started here.
    """
    if ray.is_initialized():
        yield
        return
    # An explicit "local" keeps Ray from joining whatever other cluster runs on this machine.
    address = os.environ.get("RAY_ADDRESS", "local")
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=None)
    except Exception as error:  # this very class, where Ray's own processes took too long to start
        if address == "local":
            raise ClusterError(
                f"Ray did not start on this machine ({error}); it may be busy: try again, or look into the "
                "logs of Ray's last session (ray/session_latest/logs in the folder for temporary files)"
            ) from error
        raise ClusterError(
            f"no Ray cluster at RAY_ADDRESS={address} ({error}); start one with `ray start --head`, "
            "or unset RAY_ADDRESS to run on this machine alone"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def enter(folder: str) -> None:
    """Makes the driver's working folder that of this process, on nodes that have it.

    Ray Train and Ray Tune start functions in folders of their own, in which relative paths mean something else.
    """
    if os.path.isdir(folder):
        os.chdir(folder)
