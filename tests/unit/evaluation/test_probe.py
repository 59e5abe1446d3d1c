"""The probe gives the scores of an evaluation, without Ray and without writing anything."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm

from tests.unit.evaluation.material import answer, prepared, settings
from tests.unit.propagation.test_load import write_export
from videomac.errors import EvaluationError
from videomac.evaluation.probe import probe
from videomac.evaluation.results import Scored, assemble


@pytest.fixture
def export(tmp_path):
    write_export(tmp_path / "export", timm.create_model("convnextv2_atto", num_classes=0))
    return str(tmp_path / "export")


def test_a_probe_equals_an_evaluation(davis, export, tmp_path):
    evaluation = prepared(davis, tmp_path / "out", model=export, features=[])
    found = Scored([])
    for job in reversed(list(evaluation.jobs())):
        found.add(job, answer(evaluation, job).record)
    asked = settings(davis, tmp_path / "nothing", features=[{"label": "x", "source": "raw_colour"}])
    assert probe(export, asked) == assemble(evaluation, found).scores
    assert not (tmp_path / "nothing").exists()


def test_one_broken_clip_fails_the_probe(davis, export, tmp_path):
    (davis / "JPEGImages/480p/blackswan/00003.jpg").write_bytes(b"no image")
    with pytest.raises(EvaluationError, match=r"00003\.jpg: cannot be used"):
        probe(export, settings(davis, tmp_path / "out"))


@pytest.mark.integration
def test_the_probe_knows_no_ray():
    code = "import sys, videomac.evaluation.probe; assert 'ray' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
