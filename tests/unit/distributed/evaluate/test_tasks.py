"""What surrounds the tasks: how many are submitted, what an error says, an export's files on a node."""

from __future__ import annotations

import json

import pytest
import ray

from tests.unit.evaluation.material import prepared, write_davis
from videomac.distributed.evaluate import tasks
from videomac.errors import ClusterError, EvaluationError


@pytest.fixture
def evaluation_of(sample_davis, tmp_path):
    root = write_davis(tmp_path / "davis", sample_davis, {"dog": 3})
    return lambda **keys: prepared(root, tmp_path / "out", **keys)


def limit(evaluation):
    found = tasks._limit(evaluation)
    return found() if callable(found) else found


@pytest.mark.parametrize("gpu", [False, True])
def test_a_cluster_without_free_resources_still_sees_demand(monkeypatch, evaluation_of, gpu):
    """A head of 0 CPUs has nothing yet: an autoscaler starts nodes only for tasks that wait."""
    evaluation = evaluation_of(gpu=gpu)
    monkeypatch.setattr(ray, "cluster_resources", dict)
    assert limit(evaluation) >= 8
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU" if gpu else "CPU": 500.0})
    assert limit(evaluation) >= 500, "the number follows the cluster while it grows"


def test_the_configuration_can_bound_the_tasks(evaluation_of):
    assert limit(evaluation_of(parallel=3)) == 3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EvaluationError("dog: broken"), "dog: broken"),
        (ClusterError("the worker died"), "the worker died"),
        (ValueError("first line\nlast line"), "ValueError: last line"),
        (MemoryError(), "MemoryError"),
        (EvaluationError(""), "EvaluationError"),
    ],
)
def test_an_error_becomes_one_line(error, text):
    assert tasks._reason(error) == text


def test_an_exports_files_are_unpacked_once_for_the_same_weights():
    files = {"card.json": json.dumps({"weights_sha256": "a" * 64}).encode(), "model.safetensors": b"weights"}
    folder = tasks._unpacked(files)
    assert tasks._unpacked(files) == folder
    assert (tasks.Path(folder) / "model.safetensors").read_bytes() == b"weights"
    other = {**files, "card.json": json.dumps({"weights_sha256": "b" * 64}).encode()}
    assert tasks._unpacked(other) != folder
