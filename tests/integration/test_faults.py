"""What can go wrong on a cluster: a different number of workers, damage, shortages, hangs."""

from __future__ import annotations

import shutil
import signal
import time

import pytest

from tests.integration.runs import (
    assert_each_row_used_once,
    events,
    kill_once_committed,
    losses,
    make_settings,
    send_to_worker,
    when,
)
from videomac.errors import ClusterError, DataError, TrainingError
from videomac.records.events import Attempt, BadRow, CheckpointWritten, DamagedCheckpoint, Stopped

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stopped(sample_shards, tmp_path_factory):
    """A run of 12 steps on two workers that was killed after the checkpoint of step 8."""
    from videomac.distributed.train.launch import pretrain

    storage = tmp_path_factory.mktemp("stopped")
    settings = make_settings(sample_shards, storage, "stopped", workers__max_failures=0)
    kill_once_committed(storage / "stopped", "step_0000008")
    with pytest.raises(TrainingError, match=r"max_failures = 0.*resumes from the last checkpoint"):
        pretrain(settings)
    return settings


@pytest.fixture
def copy(stopped, tmp_path):
    """Return the stopped run's settings in a copy of its folder, with some values changed."""

    def make(**changes):
        shutil.copytree(f"{stopped.run.storage}/stopped", tmp_path / "stopped")
        return stopped.with_values(**{"run.storage": str(tmp_path)} | changes)

    return make


@pytest.mark.parametrize("workers", [1, 3])
def test_a_different_number_of_workers_continues_with_the_same_rows(copy, ray_cluster, workers):
    """One or three workers do the rest; micro-steps or pad rows keep the effective batch."""
    from videomac.distributed.train.launch import pretrain

    settings = copy(**{"workers.count": workers})

    result = pretrain(settings)

    assert result.metrics["rows"] == 96
    assert_each_row_used_once(settings)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(copy, ray_cluster, tmp_path, capsys):
    from videomac.distributed.train.launch import pretrain

    settings, folder = copy(), tmp_path / "stopped"
    damaged = folder / "checkpoints/step_0000008/online.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(bytes(content))
    (folder / "checkpoints/step_0000099").mkdir()  # as a killed upload leaves it

    pretrain(settings)

    (warning,) = events(folder, DamagedCheckpoint)
    assert "online.safetensors changed since it was written" in warning.message
    assert "online.safetensors changed since it was written" in capsys.readouterr().out
    assert [attempt.step for attempt in events(folder, Attempt)] == [0, 4]
    assert "step_0000008_2" in [event.name for event in events(folder, CheckpointWritten)]
    assert_each_row_used_once(settings)


@pytest.mark.parametrize("least", [None, 5])
def test_a_request_that_no_node_can_meet_is_an_error_that_says_so(sample_shards, ray_cluster, tmp_path, least):
    from videomac.distributed.train.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "large", workers__count=9, workers__min_count=least, workers__cpus=8.0,
        workers__start_timeout_s=4.0,
    )  # fmt: skip
    begin = time.monotonic()

    with pytest.raises(ClusterError, match=rf"{least or 9} workers of 8 CPUs.*need .* CPUs.*the cluster has 4"):
        pretrain(settings)

    assert time.monotonic() - begin < 20


def test_decode_actors_that_get_no_cpu_are_an_error_after_the_time_limit(sample_shards, ray_cluster, tmp_path):
    """The two workers hold all four CPUs. Nothing is restarted, because a restart would only wait again."""
    from videomac.distributed.train.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "starved", workers__cpus=2.0, data__start_timeout_s=3.0)

    with pytest.raises(ClusterError, match=r"no CPU for 1 decode actors .*data.start_timeout_s = 3 s.*\(worker [01]\)"):
        pretrain(settings)

    (attempt,), (end,) = (events(tmp_path / "starved", kind) for kind in (Attempt, Stopped))
    assert end.time - attempt.time < 15


def test_a_run_with_nothing_but_bad_rows_ends_at_once_and_without_a_restart(sample_shards, ray_cluster, tmp_path):
    """The gap is longer than any clip. All workers see the same counts and stop in the same way."""
    from videomac.distributed.train.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "bad", data__gap_s=[500.0, 501.0], train__steps=400)

    with pytest.raises(DataError, match=r"200 of 200 rows \(100%\) could not be decoded \(no_pair: 200\), more than"):
        pretrain(settings)

    assert len(events(tmp_path / "bad", Attempt)) == 1
    assert {event.reason for event in events(tmp_path / "bad", BadRow)} == {"no_pair"}
    assert events(tmp_path / "bad", Stopped)[0].error == "DataError"


def test_a_hung_worker_is_an_error_within_the_configured_time(sample_shards, ray_cluster, tmp_path):
    """A stopped (SIGSTOP) worker is alive but reaches no collective and no report."""
    from videomac.distributed.train.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "hung", workers__collective_timeout_s=10.0, workers__max_failures=0, train__steps=400
    )
    folder, stopped_at = tmp_path / "hung", []

    def stop() -> None:
        send_to_worker(folder, 1, signal.SIGSTOP)
        stopped_at.append(time.monotonic())

    when(lambda: 3 in losses(folder), stop)

    with pytest.raises(TrainingError, match="training workers failed"):
        pretrain(settings)

    assert time.monotonic() - stopped_at[0] < 45
