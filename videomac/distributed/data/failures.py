"""Errors of the data path as the training worker raises them: ours unchanged, Ray's with what to do about them."""

from __future__ import annotations

import ray.exceptions

from videomac.config import Data
from videomac.errors import ClusterError, DataError, our_cause


def failure_of(error: BaseException | None, data: Data) -> BaseException:
    """Return our own error if one is in the chain of causes, else Ray's error with a remedy where one is known."""
    if error is None:
        return DataError("the decode actors ended before the last batch; look at their logs")
    if (ours := our_cause(error)) is not None:
        return ours
    if isinstance(error, ray.exceptions.GetTimeoutError) or "waiting for actors" in str(error):
        return ClusterError(
            f"no CPU for {data.actors} decode actors of {data.cpus_per_actor:g} CPUs within data.start_timeout_s = "
            f"{data.start_timeout_s:g} s; lower workers.cpus, data.actors or data.cpus_per_actor, or add nodes"
        )
    return error
