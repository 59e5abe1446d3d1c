"""Spot machines: a node that vanishes in mid-run, and one that says it will."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_training import ROOT, assert_each_row_used_once, make_settings, read_lines

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]


def run_on_two_nodes(mode: str, settings, folder: Path, step: int) -> None:
    (folder / "run.yaml").write_text(settings.to_yaml())
    script = Path(__file__).with_name("two_nodes.py")
    command = [sys.executable, str(script), mode, str(folder / "run.yaml"), str(step)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_training_goes_on_with_one_worker_when_a_node_vanishes(sample_shards, tmp_path):
    settings = make_settings(
        sample_shards, tmp_path, "nodes", workers__cpus=1.2, workers__min_count=1, workers__start_timeout_s=25.0,
        workers__collective_timeout_s=20.0, train__steps=12,
    )  # fmt: skip

    run_on_two_nodes("remove", settings, tmp_path, step=6)

    attempts = [e for e in read_lines(tmp_path / "nodes", "events.jsonl") if e["event"] == "attempt"]
    assert len(attempts) >= 2
    assert "1 workers" in attempts[-1]["describes"]
    assert_each_row_used_once(settings)


def test_a_preemption_notice_ends_in_a_checkpoint_before_the_deadline(sample_shards, tmp_path):
    settings = make_settings(
        sample_shards, tmp_path, "spot", workers__cpus=1.2, workers__min_count=1, workers__start_timeout_s=25.0,
        train__steps=60, checkpoint__every_steps=1000,
    )  # fmt: skip

    run_on_two_nodes("drain", settings, tmp_path, step=6)

    events = read_lines(tmp_path / "spot", "events.jsonl")
    (notice, *_) = [e for e in events if e["event"] == "preemption"]
    saved = next(e for e in events if e["event"] == "checkpoint" and e["step"] == notice["step"])
    assert saved["time"] < notice["deadline_ms"] / 1000
    assert_each_row_used_once(settings)
