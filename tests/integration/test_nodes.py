"""Nodes that disappear during a run, without a notice and with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.runs import ROOT, assert_each_row_used_once, events, make_settings
from videomac.records.events import Attempt, CheckpointWritten, Preemption

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]


def run_on_two_nodes(mode: str, settings, folder: Path, step: int) -> None:
    (folder / "run.yaml").write_text(settings.to_yaml())
    script = Path(__file__).with_name("two_nodes.py")
    command = [sys.executable, str(script), mode, str(folder / "run.yaml"), str(step)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_training_continues_with_one_worker_when_a_node_disappears(sample_shards, tmp_path):
    settings = make_settings(
        sample_shards, tmp_path, "nodes", workers__cpus=1.2, workers__min_count=1, workers__start_timeout_s=80.0,
        workers__collective_timeout_s=20.0,
    )  # fmt: skip

    run_on_two_nodes("remove", settings, tmp_path, step=6)

    first, *_, last = events(tmp_path / "nodes", Attempt)
    assert "2 workers" in first.describes
    assert "1 workers" in last.describes
    assert_each_row_used_once(settings)


def test_a_preemption_notice_leads_to_a_checkpoint_before_the_deadline(sample_shards, tmp_path):
    """No regular checkpoint comes before the end of the run, and metrics are logged too rarely to trigger anything."""
    settings = make_settings(
        sample_shards, tmp_path, "spot", workers__cpus=1.2, workers__min_count=1, workers__start_timeout_s=80.0,
        train__steps=120, checkpoint__every_steps=1000, log__every_steps=100,
    )  # fmt: skip

    run_on_two_nodes("drain", settings, tmp_path, step=1)

    folder = tmp_path / "spot"
    (notice, *_), (saved, *_) = events(folder, Preemption), events(folder, CheckpointWritten)
    assert saved.step == notice.step < 100
    assert (folder / "checkpoints" / saved.name / "files.json").stat().st_mtime < notice.deadline_ms / 1000
    assert [attempt.step for attempt in events(folder, Attempt)] == [0, saved.step]
    assert_each_row_used_once(settings)
