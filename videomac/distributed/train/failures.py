"""What ends a run, as errors that say what to do: the cluster's shortages and Ray Train's failures."""

from __future__ import annotations

import ray
import ray.train

from videomac.config import Pretrain
from videomac.distributed.data.decoding import cpus_needed
from videomac.distributed.ray_internals import failed_to_start
from videomac.distributed.train.starting import Seen, Stage
from videomac.errors import CheckpointError, ClusterError, TrainingError, VideomacError, our_cause


def shortage(settings: Pretrain) -> str | None:
    """Return what the cluster lacks for the least number of workers, None if it has enough in all."""
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


def nothing_moves(settings: Pretrain, seen: Seen) -> ClusterError:
    """Return the error for workers that were not alive for `workers.start_timeout_s`, with what was seen of them."""
    found, advice = _found(settings, seen)
    died = f"; the last one died: {seen.died}" if seen.died and seen.stage < Stage.FUNCTION else ""
    return ClusterError(
        f"no training worker was alive for workers.start_timeout_s = {settings.workers.start_timeout_s:g} s: "
        f"{found}{died}; {advice}"
    )


def _found(settings: Pretrain, seen: Seen) -> tuple[str, str]:
    """Return what was seen, and what to do about it."""
    more_time = "raise workers.start_timeout_s for slow machines"
    if seen.stage is Stage.FUNCTION:
        return (
            f"all {seen.workers} worker processes have started, but their training function is silent: it is still "
            "being imported, or the processes have stopped",
            f"{more_time}, or look into the workers' logs",
        )
    if seen.stage is Stage.PROCESSES:
        return f"{seen.running} of {seen.workers} worker processes have started", f"their nodes are slow: {more_time}"
    lacking = shortage(settings)
    if lacking is None and seen.stage is Stage.CONTROLLER:
        return (
            "the process of Ray Train's controller has not started on this machine",
            f"the machine may be overloaded: try again, or {more_time}",
        )
    no_room = "the cluster has enough CPUs in all, but no room for a worker: on no single node, or others hold it"
    return (
        lacking or no_room,
        "lower workers.count or workers.cpus, or add nodes; raise the time if nodes are still coming",
    )


def explained(error: ray.train.TrainingFailedError, settings: Pretrain) -> VideomacError:
    """Return Ray Train's failure as an error of ours: a worker's own if it has one, else the cause in one line."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items()):
        if (ours := our_cause(failure)) is not None:
            return ours.restated(f"{ours} (worker {rank})")
    last = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if failures:
        return TrainingError(
            f"training workers failed more than workers.max_failures = {settings.workers.max_failures} times; "
            f"the last time worker {min(failures)}: {last}; the same command resumes from the last checkpoint"
        )
    if "snapshot" in str(error) and "does not exist" in str(error):
        return CheckpointError(f"a checkpoint that the run lists was deleted: {last}; choose another run.name")
    if failed_to_start(getattr(error, "controller_failure", None)):
        return ClusterError(
            f"the training workers did not start ({last}){_and(shortage(settings))}; "
            "lower workers.count or workers.cpus, or add nodes"
        )
    return ClusterError(f"Ray Train gave up: {last}; the same command resumes from the last checkpoint")


def _and(text: str | None) -> str:
    return f": {text}" if text else ""
