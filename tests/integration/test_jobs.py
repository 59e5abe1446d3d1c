"""`ray job submit` to a head node that the test starts; the outcome comes from the Jobs API."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def head():
    """A head node with a dashboard and 4 CPUs to book; killed at the end with all its children."""
    flags = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port", "metrics-export-port")
    ports = {f"--{flag}": free_port() for flag in flags}  # the shared cluster uses the agent's default port
    # The cluster that the other tests of this process share has set RAY_* variables for itself.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    temp_dir = f"/tmp/vmj{os.getpid()}"  # short: socket paths are limited to 107 bytes
    words = [word for flag, port in ports.items() for word in (flag, str(port))]
    process = subprocess.Popen(
        [RAY, "start", "--head", "--block", "--num-cpus=4", "--dashboard-host=127.0.0.1",
         f"--temp-dir={temp_dir}", *words],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{ports['--dashboard-port']}"
    try:
        wait_for(url + "/api/version")
        yield url, environment
    finally:
        # SIGTERM would drain the node for half a minute first, which nothing here needs.
        for member in [*psutil.Process(process.pid).children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(10)
        shutil.rmtree(temp_dir, ignore_errors=True)


def wait_for(url: str, timeout_s: float = 110.0) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def submit(url: str, environment: dict[str, str], *words: str, working_dir: Path | None = None) -> dict:
    """Submit a job, with an uploaded working folder if one is given, and wait; return its record from the Jobs API."""
    flags = ["--working-dir", str(working_dir)] if working_dir else []
    name, end = f"job-{time.monotonic_ns()}", time.monotonic() + 90
    while True:
        done = subprocess.run(
            [RAY, "job", "submit", "--submission-id", name, "--address", url, *flags, "--", sys.executable,
             *words],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        print(done.stdout, done.stderr)
        # The dashboard answers a few seconds earlier than the agent that runs jobs.
        if "No available agent" not in done.stdout + done.stderr or time.monotonic() > end:
            break
        time.sleep(2)
    with urllib.request.urlopen(f"{url}/api/jobs/{name}", timeout=10) as answer:
        return json.load(answer)


def test_pretraining_runs_as_a_submitted_job_on_two_workers_and_a_decoder(head, tmp_path, sample_shards):
    url, environment = head

    job = submit(
        url, environment, "-m", "ray_jobs.pretrain", "configs/pretrain/laptop.yaml",
        f"data.manifest={sample_shards}/manifest.json", f"run.storage={tmp_path}", "run.name=submitted",
        "data.image_size=[64, 64]", "data.pairs_per_open=2", "train.steps=4", "train.epochs=null",
        "train.batch_size=8", "train.micro_batch=4", "workers={count: 2, cpus: 0.5, threads: 1}",
        "model.decoder_dim=32",
    )  # fmt: skip

    events = [json.loads(line) for line in (tmp_path / "submitted" / "events.jsonl").read_text().splitlines()]
    pids = {kind: {e["pid"] for e in events if e["event"] == kind} for kind in ("worker", "decoder")}
    assert job["status"] == "SUCCEEDED", job
    assert len(pids["worker"]) >= 2
    assert len(pids["decoder"]) >= 1
    assert not pids["worker"] & pids["decoder"]
    assert json.loads((tmp_path / "submitted" / "export" / "card.json").read_text())["step"] == 4
    assert (tmp_path / "submitted" / "report.html").is_file()


def test_a_wrong_config_fails_the_job_with_one_line(head):
    url, environment = head

    job = submit(url, environment, "-m", "ray_jobs.pretrain", "run.name=a", "data.manifst=x")

    assert job["status"] == "FAILED"
    assert job["driver_exit_code"] == 2 or "exit code 2" in job["message"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (
            ("ray_jobs.pretrain", "run.name=a", "train.steps=2", "data.manifest=s3://bucket/manifest.json"),
            "run.storage",
        ),
        (("ray_jobs.build_shards", "videos", "/shared/shards"), "source"),
    ],
)
def test_a_place_in_the_throwaway_working_folder_of_the_job_is_refused(head, tmp_path, words, key):
    url, environment = head
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "list.txt").write_text("")

    job = submit(url, environment, "-m", *words, working_dir=tmp_path)

    with urllib.request.urlopen(f"{url}/api/jobs/{job['submission_id']}/logs", timeout=10) as answer:
        shown = json.load(answer)["logs"]
    assert job["status"] == "FAILED"
    assert job["driver_exit_code"] == 2 or "exit code 2" in job["message"]
    assert f": {key}: " in shown
    assert "is relative; in a submitted job it lies in the job's working folder" in shown
