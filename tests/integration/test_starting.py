"""Workers that start slowly, cannot be placed, or whose run belongs to another driver by now."""

from __future__ import annotations

import concurrent.futures
import time

import psutil
import pytest
import ray
import ray.util

from tests.integration.runs import events, losses, make_settings, wait_until, when
from tests.integration.slow_start import IMPORT_S, SlowBoard
from videomac.errors import ClusterError
from videomac.records.events import Attempt, WorkerStarted
from videomac.storage import lease

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def pretrain_in_a_thread(settings, within_s: float):
    """As a trial of Ray Tune does: outside the main thread."""
    from videomac.distributed.train.launch import pretrain

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(pretrain, settings).result(timeout=within_s)


def test_a_slow_start_may_take_the_whole_limit_in_each_of_its_stages(sample_shards, ray_cluster, tmp_path, monkeypatch):
    """The controller and the workers start one after the other: together they take longer than the limit."""
    from videomac.distributed.train import launch

    limit_s = 42.0
    assert IMPORT_S < limit_s < 2 * IMPORT_S
    monkeypatch.setattr(launch, "BoardClient", SlowBoard)
    settings = make_settings(sample_shards, tmp_path, "slow", train__steps=1, workers__start_timeout_s=limit_s)
    begin = time.time()

    launch.pretrain(settings)

    (attempt,) = events(tmp_path / "slow", Attempt)
    assert attempt.time - begin > 2 * IMPORT_S


def test_an_elastic_trial_that_cannot_be_placed_ends_in_an_error_that_says_so(sample_shards, ray_cluster, tmp_path):
    settings = make_settings(
        sample_shards, tmp_path, "large", workers__count=9, workers__min_count=5, workers__cpus=8.0,
        workers__start_timeout_s=4.0,
    )  # fmt: skip

    with pytest.raises(ClusterError, match=r"5 workers of 8 CPUs.*the cluster has 4.*lower workers.count"):
        pretrain_in_a_thread(settings, within_s=60)

    states = {group["state"] for group in ray.util.placement_group_table().values()}
    assert states <= {"REMOVED"}, "nobody is asked for these nodes any more"


def test_a_trial_whose_lease_another_driver_has_ends_itself(sample_shards, ray_cluster, tmp_path):
    settings = make_settings(sample_shards, tmp_path, "lost", train__steps=100_000)
    folder = tmp_path / "lost"
    taken = when(lambda: 2 in losses(folder), lambda: (folder / lease.FILE).write_bytes(b'{"id": "another"}'))

    with pytest.raises(ClusterError, match="the lease was lost to another driver; this one has stopped"):
        pretrain_in_a_thread(settings, within_s=120)

    taken.join(timeout=1)
    pids = [started.pid for started in events(folder, WorkerStarted)]
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), timeout_s=20)  # killed, which takes a busy node a moment
    step = max(losses(folder))
    time.sleep(1)
    assert max(losses(folder)) == step, "its workers have ended"
    wait_until(lambda: ray.available_resources().get("CPU") == 4, timeout_s=20)  # and hold no place any more
