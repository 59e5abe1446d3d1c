"""What can go wrong in a cluster, each once: other worker counts, damage, shortages, hangs, a killed driver, scores."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.integration.runs import (
    ROOT,
    assert_each_row_used_once,
    events,
    kill_once_committed,
    losses,
    make_settings,
    send_to_worker,
    wait_until,
    when,
)
from videomac.errors import ClusterError, TrainingError
from videomac.pretrain.runlog import RunFolder

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stopped(sample_shards, tmp_path_factory):
    """A run of 12 steps on two workers that ended in a kill after the checkpoint of step 8."""
    from videomac.distributed.launch import pretrain

    storage = tmp_path_factory.mktemp("stopped")
    settings = make_settings(sample_shards, storage, "stopped", workers__max_failures=0)
    kill_once_committed(storage / "stopped", "step_0000008")
    with pytest.raises(TrainingError, match=r"max_failures = 0.*resumes from the last checkpoint"):
        pretrain(settings)
    return settings


@pytest.fixture
def copy(stopped, tmp_path):
    """The stopped run's settings in a copy of its folder, with other values."""

    def make(**changes):
        shutil.copytree(f"{stopped.run.storage}/stopped", tmp_path / "stopped")
        return stopped.with_values(**{"run.storage": str(tmp_path)} | changes)

    return make


@pytest.mark.parametrize("workers", [1, 3])
def test_other_worker_counts_go_on_with_the_same_rows(copy, ray_cluster, workers):
    """One or three workers do the rest, E kept by micro-steps or pad rows."""
    from videomac.distributed.launch import pretrain

    settings = copy(**{"workers.count": workers})

    result = pretrain(settings)

    assert result.metrics["rows"] == 96
    assert_each_row_used_once(settings)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(copy, ray_cluster, tmp_path, capsys):
    from videomac.distributed.launch import pretrain

    settings, folder = copy(), tmp_path / "stopped"
    damaged = folder / "checkpoints/step_0000008/online.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(bytes(content))
    (folder / "checkpoints/step_0000099").mkdir()  # what a killed upload leaves

    pretrain(settings)

    (warning,) = events(folder, "damaged_checkpoint")
    assert "online.safetensors changed since it was written" in warning["message"]
    assert "online.safetensors changed since it was written" in capsys.readouterr().out
    assert [attempt["step"] for attempt in events(folder, "attempt")] == [0, 4]
    assert "step_0000008_2" in [event["name"] for event in events(folder, "checkpoint")]
    assert_each_row_used_once(settings)


@pytest.mark.parametrize("least", [None, 5])
def test_a_request_that_no_node_can_meet_ends_in_an_error_that_says_so(sample_shards, ray_cluster, tmp_path, least):
    from videomac.distributed.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "large", workers__count=9, workers__min_count=least, workers__cpus=8.0,
        workers__start_timeout_s=4.0,
    )  # fmt: skip
    begin = time.monotonic()

    with pytest.raises(ClusterError, match=rf"{least or 9} workers of 8 CPUs.*need .* CPUs.*the cluster has 4"):
        pretrain(settings)

    assert time.monotonic() - begin < 20


def test_decode_actors_without_a_cpu_end_in_an_error_after_their_time(sample_shards, ray_cluster, tmp_path):
    """The two workers hold all four CPUs; no restart, since that would only wait again."""
    from videomac.distributed.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "starved", workers__cpus=2.0, data__start_timeout_s=3.0)

    with pytest.raises(ClusterError, match=r"no CPU for 1 decode actors .*data.start_timeout_s = 3 s.*\(worker [01]\)"):
        pretrain(settings)

    (attempt,), (end,) = (events(tmp_path / "starved", kind) for kind in ("attempt", "stopped"))
    assert end["time"] - attempt["time"] < 15


def test_a_hung_worker_ends_in_an_error_within_the_configured_time(sample_shards, ray_cluster, tmp_path):
    """SIGSTOP: the worker lives, but reaches no collective and no report."""
    from videomac.distributed.launch import pretrain

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

    assert time.monotonic() - stopped_at[0] < 90


def test_the_best_scored_checkpoint_is_kept_though_its_score_comes_late(sample_shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    data = {"root": "samples://davis", "resolution": "240p", "clips": ["dog"]}
    probe = {"max_share": 1.0, "evaluate": {"preset": "crw-240p", "data": data}}
    settings = make_settings(
        sample_shards, tmp_path, "probed", train__steps=12, checkpoint={"every_steps": 4, "keep": 1}, probe=probe
    )

    result = pretrain(settings)

    folder = tmp_path / "probed"
    scores = {path.stem: json.loads(path.read_text())["scores"]["J&F-Mean"] for path in (folder / "probes").iterdir()}
    best = json.loads((folder / "best/best.json").read_text())
    assert best == {"name": max(scores, key=scores.__getitem__), "score": max(scores.values())}
    assert (folder / "best" / best["name"] / "files.json").is_file()
    assert result.metrics["probe/J&F-Mean"] == scores["step_0000012"]


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server of the test's own; processes started by the test find it in their environment."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import boto3

    boto3.client("s3").create_bucket(Bucket="runs")
    yield "s3://runs"
    server.stop()


def test_a_killed_driver_on_an_object_store_is_followed_by_another(sample_shards, ray_cluster, tmp_path, bucket):
    """The whole process is killed, Ray with it. The same command waits for the lease and goes on with equal losses."""
    from videomac.distributed.launch import pretrain
    from videomac.pretrain.export import export_checkpoint

    one = {"workers__count": 1, "train__micro_batch": 8, "train__steps": 16}
    straight = make_settings(sample_shards, tmp_path, "straight", **one)
    settings = make_settings(sample_shards, f"{bucket}/a", "stored", **one)
    folder = RunFolder(settings.run.storage, settings.run.name)
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    command = [sys.executable, "-m", "ray_jobs.pretrain", str(tmp_path / "run.yaml")]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: b"step_0000004" in (folder.read("checkpoints/checkpoint_manager_snapshot.json") or b""))
    first.kill()
    first.wait()
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    pretrain(straight)  # meanwhile: the second one waits for 20 s

    said = second.communicate(timeout=200)[0]

    assert second.returncode == 0
    assert "waiting 20 s to see whether it is alive" in said
    assert "taking over" in said
    expected = {step: set(values) for step, values in losses(tmp_path / "straight").items()}
    lines = [json.loads(line) for line in (folder.read("metrics.jsonl") or b"").splitlines()]
    assert {line["step"] for line in lines} == set(expected)
    assert all(line["loss"] in expected[line["step"]] for line in lines)
    assert_each_row_used_once(settings)
    assert pretrain(settings).was_finished
    assert export_checkpoint(folder.url, str(tmp_path / "export"))["step"] == 16
