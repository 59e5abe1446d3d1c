"""What the writers' own libraries read back."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.unit.pretrain.conftest import make_settings
from videomac.errors import ConfigError
from videomac.pretrain import writers
from videomac.storage.run_folder import RunFolder

PICTURES = {"online": np.full((2, 2, 8, 8, 3), 128, np.uint8)}


def write(name: str, folder: RunFolder, steps: tuple[int, ...] = (1, 2)) -> None:
    """One attempt of a run."""
    (writer,) = writers.open_writers(make_settings(log__writers=[name]), folder)
    for step in steps:
        writer.scalars(step, {"loss": 1.0 / step})
    writer.pictures(steps[-1], PICTURES)
    writer.flush()
    writer.close()


@pytest.fixture
def folder(tmp_path):
    return RunFolder(str(tmp_path), "run")


def test_tensorboard_reads_scalars_and_pictures(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write("tensorboard", folder)

    events = EventAccumulator(str(folder.local / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 1.0), (2, 0.5)]
    assert events.Tags()["images"] == ["reconstruction/online"]


@pytest.mark.slow
def test_mlflow_has_one_run_that_a_second_attempt_goes_on_with(folder, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    write("mlflow", folder)
    write("mlflow", folder, (2, 3))

    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert (run.info.run_name, run.info.status) == ("test", "FINISHED")
    assert run.data.params["encoder"] == "convnextv2_atto"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert sorted({(m.step, m.value) for m in history}) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert {f.path for f in mlflow.MlflowClient().list_artifacts(run.info.run_id)} >= {"online_0000002.png"}


@pytest.mark.slow
def test_wandb_writes_a_run_offline(folder, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)

    write("wandb", folder)

    (stored,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    end = time.monotonic() + 30  # W&B's own process writes it, also after `finish` has returned
    while stored.stat().st_size <= 500 and time.monotonic() < end:
        time.sleep(0.1)
    assert stored.stat().st_size > 500
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/images/*.png"))


def test_a_writer_whose_library_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(writers.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install 'videomac\[wandb\]', or remove it"):
        writers.check_installed(["wandb"])
