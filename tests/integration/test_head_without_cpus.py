"""A cluster whose head has no CPU, as on Kubernetes: nodes come when tasks are seen to wait for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.runs import ROOT
from tests.unit.data.material import write_video
from tests.unit.evaluation.material import write_davis
from videomac.data.manifest import load_manifest
from videomac.records.evaluation import Results

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def demand_of(what: str, source: Path, out: Path) -> int:
    """Run the script; return the largest demand that it saw."""
    script = Path(__file__).with_name("head_without_cpus.py")
    command = [sys.executable, str(script), what, str(source), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"demand (\d+)", done.stdout)[1])


def test_a_head_without_cpus_shows_its_demand_and_builds_when_a_node_comes(tmp_path):
    (tmp_path / "videos").mkdir()
    for i in range(5):
        write_video(tmp_path / "videos" / f"v{i}.mp4", 24 + i)

    demand = demand_of("build", tmp_path / "videos", tmp_path / "shards")

    assert demand >= 4, "one task at a time would ask for one CPU for ever"
    assert load_manifest(str(tmp_path / "shards")).samples == {"train": 5}


def test_an_evaluation_shows_its_demand_and_ends_when_a_node_comes(sample_davis, tmp_path):
    root = write_davis(tmp_path / "davis", sample_davis)

    demand = demand_of("evaluate", root, tmp_path / "out")

    assert demand >= 4, "two clips with two candidates wait side by side"
    results = Results.from_json((tmp_path / "out/results.json").read_bytes(), "results.json")
    assert [list(row.clips) for row in results.rows] == [["dog", "blackswan"]] * 2
