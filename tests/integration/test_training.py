"""Training under Ray Train on a real local cluster: two workers, one of them killed; other worker counts; refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from videomac import config
from videomac.errors import ClusterError, ConfigError, TrainingError
from videomac.pretrain.runlog import RunFolder, read_ledger

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def make_settings(shards: Path, storage: Path | str, name: str, **changes) -> config.Pretrain:
    tree = {
        "run": {"name": name, "storage": str(storage)},
        "data": {"manifest": f"{shards}/manifest.json", "image_size": [64, 64], "cpus_per_actor": 0.25},
        "model": {"encoder": {"name": "convnextv2_atto"}, "mask_ratio": 0.5, "decoder_dim": 16},
        "optim": {"blr": 0.05},
        "train": {"batch_size": 8, "micro_batch": 4, "steps": 12},
        "workers": {"count": 2, "cpus": 0.5, "threads": 1, "collective_timeout_s": 60.0},
        "checkpoint": {"every_steps": 4},
        "log": {"every_steps": 1, "writers": []},
    }
    settings = config.validate(config.Pretrain, tree, "test")
    return settings.with_values(**{key.replace("__", "."): value for key, value in changes.items()})


def read_lines(folder: Path, name: str) -> list[dict]:
    path = folder / name
    complete = path.read_text().split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in complete]


def wait_for_step(folder: Path, step: int, timeout_s: float = 300.0) -> None:
    end = time.monotonic() + timeout_s
    while not any(line["step"] >= step for line in read_lines(folder, "metrics.jsonl")):
        assert time.monotonic() < end, f"step {step} was never logged"
        time.sleep(0.05)


def kill_a_worker_after(
    folder: Path, step: int, rank: int = 1, with_signal: signal.Signals = signal.SIGKILL
) -> threading.Thread:
    """Sends the signal to a worker once that step is logged."""

    def watch() -> None:
        wait_for_step(folder, step)
        workers = [e for e in read_lines(folder, "events.jsonl") if e["event"] == "worker" and e["rank"] == rank]
        os.kill(workers[-1]["pid"], with_signal)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def assert_each_row_used_once(settings: config.Pretrain) -> None:
    """The ledger of the whole run: step i used rows [i*E, (i+1)*E), whatever happened to the workers."""
    size = settings.train.batch_size
    steps = read_ledger(RunFolder(settings.run.storage, settings.run.name))
    rows = {step: sorted(g for line in lines for g in line["g"]) for step, lines in steps.items()}
    assert rows == {step: list(range((step - 1) * size, step * size)) for step in range(1, settings.train.steps + 1)}


def test_a_killed_worker_costs_no_row_and_no_bit(sample_shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "killed")
    killer = kill_a_worker_after(tmp_path / "killed", step=6)

    result = pretrain(settings)

    killer.join(timeout=1)
    lines = read_lines(tmp_path / "killed", "metrics.jsonl")
    attempts = [event for event in read_lines(tmp_path / "killed", "events.jsonl") if event["event"] == "attempt"]
    assert len(attempts) == 2
    resumed_at = attempts[1]["step"]
    assert resumed_at in (0, 4)
    by_step: dict[int, list[float]] = {}
    for line in lines:
        by_step.setdefault(line["step"], []).append(line["loss"])
    assert sorted(by_step) == list(range(1, 13))
    repeated = {step: losses for step, losses in by_step.items() if len(losses) > 1}
    assert set(repeated) >= {resumed_at + 1, 6}
    assert all(losses[0] == losses[1] for losses in repeated.values())
    assert_each_row_used_once(settings)
    assert result.metrics["rows"] == 96
    assert not result.was_finished


def test_a_finished_run_ends_at_once_and_another_config_is_refused(sample_shards, ray_cluster, tmp_path, capsys):
    from videomac.distributed.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "short", train__steps=2, workers__count=1)
    pretrain(settings)
    begin = time.monotonic()

    again = pretrain(settings)

    assert again.was_finished
    assert time.monotonic() - begin < 5
    assert "finished at step 2" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"model\.mask_ratio: 0\.5 -> 0\.75"):
        pretrain(settings.with_values(**{"model.mask_ratio": 0.75}))


def test_a_nonfinite_loss_stops_the_run_without_restarts(sample_shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "explodes", train__max_loss=1e-6)

    with pytest.raises(TrainingError, match=r"step 1: loss .*keys: .*last good checkpoint: none"):
        pretrain(settings)

    events = [event["event"] for event in read_lines(tmp_path / "explodes", "events.jsonl")]
    assert events.count("attempt") == 1
    assert events[-1] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_other_worker_counts_go_on_with_the_same_rows(sample_shards, ray_cluster, tmp_path, workers):
    """Two workers are stopped after the checkpoint of step 4; one or three do the rest, E kept by pad rows."""
    from videomac.distributed.launch import pretrain

    settings = make_settings(sample_shards, tmp_path, "counts", train__steps=8, workers__max_failures=0)
    kill_a_worker_after(tmp_path / "counts", step=6)
    with pytest.raises(TrainingError, match=r"max_failures = 0.*resumes from the last checkpoint"):
        pretrain(settings)

    result = pretrain(settings.with_values(**{"workers.count": workers}))

    assert result.metrics["rows"] == 64
    assert_each_row_used_once(settings)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(sample_shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "damaged", workers__count=1, train__micro_batch=8, checkpoint__every_steps=3
    )
    kill_a_worker_after(tmp_path / "damaged", step=8, rank=0)
    with pytest.raises(TrainingError):
        pretrain(settings.with_values(**{"workers.max_failures": 0}))
    newest = sorted((tmp_path / "damaged/checkpoints").glob("step_*/files.json"))[-1].parent
    content = bytearray((newest / "online.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "online.safetensors").write_bytes(bytes(content))

    pretrain(settings)

    events = read_lines(tmp_path / "damaged", "events.jsonl")
    (passed_over,) = [event for event in events if event["event"] == "damaged_checkpoint"]
    assert "online.safetensors" in passed_over["message"]
    resumed = [event["step"] for event in events if event["event"] == "attempt"][-1]
    assert resumed == int(newest.name.removeprefix("step_")) - 3
    assert f"{newest.name}_2" in [event.get("name") for event in events]
    assert_each_row_used_once(settings)


@pytest.mark.slow
def test_a_killed_driver_is_followed_by_another_that_waits_for_its_lease(sample_shards, tmp_path):
    """The whole process is killed, Ray with it; the same command goes on with bit-equal losses."""
    settings = make_settings(sample_shards, tmp_path, "driver", train__steps=8, workers__count=1, train__micro_batch=8)
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    command = [sys.executable, "-m", "ray_jobs.pretrain", str(tmp_path / "run.yaml")]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for_step(tmp_path / "driver", 6)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)

    assert second.returncode == 0, second.stderr
    assert "waiting 20 s to see whether it is alive" in second.stdout
    assert "taking over" in second.stdout
    by_step: dict[int, set[float]] = {}
    for line in read_lines(tmp_path / "driver", "metrics.jsonl"):
        by_step.setdefault(line["step"], set()).add(line["loss"])
    assert {step: len(losses) for step, losses in by_step.items()} == dict.fromkeys(range(1, 9), 1)
    assert_each_row_used_once(settings)


@pytest.mark.slow
def test_a_run_on_an_object_store_resumes_and_exports(sample_shards, ray_cluster, tmp_path, monkeypatch):
    """Run folder, checkpoints, ledger and lease on S3; the server is started by the test."""
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
    settings = make_settings(
        sample_shards, "s3://runs/a", "stored", train__steps=4, workers__count=1, train__micro_batch=8
    )
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    command = [sys.executable, "-m", "ray_jobs.pretrain", str(tmp_path / "run.yaml")]

    first, again = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False) for _ in range(2)
    )

    from videomac.pretrain.export import export_checkpoint

    assert first.returncode == 0, first.stderr
    assert "finished at step 4; nothing to do" in again.stdout
    assert_each_row_used_once(settings)
    assert export_checkpoint("s3://runs/a/stored", str(tmp_path / "export"))["step"] == 4
    server.stop()


@pytest.mark.slow
def test_a_request_that_no_node_can_meet_ends_in_an_error_that_says_so(sample_shards, ray_cluster, tmp_path):
    from videomac.distributed.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "large", workers__count=9, workers__cpus=8.0, workers__start_timeout_s=3.0
    )

    with pytest.raises(ClusterError, match=r"9 workers of 8 CPUs.*need .* CPUs.*the cluster has 4"):
        pretrain(settings)


@pytest.mark.slow
def test_a_hung_worker_ends_in_an_error_within_the_configured_time(sample_shards, ray_cluster, tmp_path):
    """SIGSTOP: the worker lives, but never reaches the next collective."""
    from videomac.distributed.launch import pretrain

    settings = make_settings(
        sample_shards, tmp_path, "hung", workers__collective_timeout_s=10.0, workers__max_failures=0, train__steps=200
    )
    kill_a_worker_after(tmp_path / "hung", step=3, with_signal=signal.SIGSTOP)
    begin = time.monotonic()

    with pytest.raises(TrainingError, match="training workers failed"):
        pretrain(settings)

    assert time.monotonic() - begin < 120
