"""A driver of a run on an object store is killed, and another takes over."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.integration.runs import ROOT, assert_each_row_used_once, losses, make_settings, wait_until
from videomac.storage.run_folder import RunFolder

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def test_another_driver_takes_over_after_one_is_killed(sample_shards, ray_cluster, tmp_path, s3_bucket):
    """The process is killed, and Ray with it. The same command waits for the lease and continues with equal losses."""
    from videomac.distributed.train.launch import pretrain
    from videomac.pretrain.export import export_checkpoint

    one = {"workers__count": 1, "train__micro_batch": 8, "train__steps": 16}
    straight = make_settings(sample_shards, tmp_path, "straight", **one)
    settings = make_settings(sample_shards, f"{s3_bucket}/a", "stored", **one)
    folder = RunFolder(settings.run.storage, settings.run.name)
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    command = [sys.executable, "-m", "ray_jobs.pretrain", str(tmp_path / "run.yaml")]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: b"step_0000004" in (folder.read("checkpoints/checkpoint_manager_snapshot.json") or b""))
    first.kill()
    first.wait()
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert any("waiting 20 s to see whether it is alive" in line for line in second.stdout)
    pretrain(straight)  # meanwhile

    said = second.communicate(timeout=200)[0]

    assert second.returncode == 0
    assert "taking over" in said
    expected = {step: set(values) for step, values in losses(tmp_path / "straight").items()}
    lines = [json.loads(line) for line in (folder.read("metrics.jsonl") or b"").splitlines()]
    assert {line["step"] for line in lines} == set(expected)
    assert all(line["loss"] in expected[line["step"]] for line in lines)
    assert_each_row_used_once(settings)
    assert pretrain(settings).was_finished
    assert export_checkpoint(folder.url, str(tmp_path / "export")).step == 16
