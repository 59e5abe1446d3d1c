"""What ends a run says what to do."""

from __future__ import annotations

import pytest
import ray
from ray.train import ControllerError, WorkerGroupError

from tests.unit.pretrain.conftest import make_settings
from videomac.distributed.train import failures
from videomac.distributed.train.starting import Seen, Stage
from videomac.errors import CheckpointError, ClusterError, DataError, TrainingError


@pytest.fixture
def cpus(monkeypatch):
    """A cluster of eight CPUs."""
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0})


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (Seen(Stage.CONTROLLER), "controller has not started on this machine; the machine may be overloaded"),
        (Seen(Stage.PLACING), "enough CPUs in all, but no room for a worker.*lower workers.count"),
        (Seen(Stage.PLACING, died="killed (OOM)"), r"; the last one died: killed \(OOM\); lower"),
        (
            Seen(Stage.PROCESSES, 4, 1),
            "1 of 4 worker processes have started; their nodes are slow: raise workers.start_t",
        ),
        (Seen(Stage.FUNCTION, 4, 4), "all 4 worker processes have started, but their training function is silent"),
    ],
)
def test_the_error_says_what_was_seen_and_advises_accordingly(cpus, seen, message):
    error = failures.nothing_moves(make_settings(workers__start_timeout_s=30.0), seen)

    assert type(error) is ClusterError
    assert "no training worker was alive for workers.start_timeout_s = 30 s" in str(error)
    with pytest.raises(ClusterError, match=message):
        raise error


def test_a_cluster_that_is_too_small_is_named_with_what_it_lacks(cpus):
    settings = make_settings(workers__count=9, workers__cpus=2.0, data__cpus_per_actor=0.5)

    assert "9 workers of 2 CPUs, with 1 decode actors of 0.5" in failures.shortage(settings)
    assert "need 27 CPUs and 0 GPUs; the cluster has 8 and 0" in failures.shortage(settings)
    assert failures.shortage(make_settings()) is None


@pytest.mark.parametrize("stage", [Stage.CONTROLLER, Stage.PLACING])
def test_a_cluster_that_is_too_small_is_the_reason_however_far_the_start_came(cpus, stage):
    settings = make_settings(workers__count=9, workers__cpus=2.0)

    with pytest.raises(ClusterError, match=r"the cluster has 8 and 0; lower workers\.count"):
        raise failures.nothing_moves(settings, Seen(stage))


def test_a_worker_s_own_error_is_the_run_s():
    cause = RuntimeError("task failed")
    cause.__cause__ = DataError("no batch came")

    error = failures.explained(WorkerGroupError("2 workers failed", {1: cause}), make_settings())

    assert type(error) is DataError
    assert str(error) == "no batch came (worker 1)"


def test_other_failures_of_workers_are_counted(cpus):
    error = failures.explained(WorkerGroupError("failed\nActorDiedError", {0: RuntimeError()}), make_settings())

    assert type(error) is TrainingError
    assert "max_failures = 3 times; the last time worker 0: ActorDiedError; the same command resumes" in str(error)


def test_failures_of_the_controller_are_known_by_their_cause(cpus):
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

    start = failures.explained(ControllerError(WorkerGroupStartupFailedError("a node died")), make_settings())
    missing = failures.explained(ControllerError(ValueError("snapshot: step_4 does not exist")), make_settings())
    other = failures.explained(ControllerError(ValueError("odd")), make_settings())

    assert "the training workers did not start (a node died)" in str(start)
    assert type(missing) is CheckpointError
    assert "Ray Train gave up: odd; the same command resumes" in str(other)
