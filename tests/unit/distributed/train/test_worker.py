"""The training worker in Ray Train's local mode: this process, no cluster, rows decoded in place."""

from __future__ import annotations

import collections
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import ray.train
import torch
from ray.train.torch import TorchTrainer

from tests.unit.data.material import pretrain_settings, recipe_for, write_shards, write_video
from tests.unit.distributed.train.boards import LocalBoard
from videomac.data.batch import Batch
from videomac.data.in_process import iterate
from videomac.data.plan import read_plan
from videomac.data.row_maker import RowMaker
from videomac.distributed.train import batches
from videomac.distributed.train.worker import WorkerTask, train_worker
from videomac.errors import ClusterError, TrainingError
from videomac.pretrain import checkpoint, loop
from videomac.pretrain.ledger import read_ledger
from videomac.pretrain.step import train_step
from videomac.records.checkpoint import DataFacts
from videomac.storage.run_folder import RunFolder

pytestmark = pytest.mark.integration  # Ray Train, though in this process

FACTS = DataFacts(manifest_sha256="abc", decoder="pyav")


class LocalStream:
    """What `BatchStream` gives, without Ray Data."""

    def __init__(self, decoding, spans, known_bad) -> None:
        maker = RowMaker(decoding.plan, decoding.recipe, known_bad, isolated=False)
        self._batches = (Batch.collate(columns) for columns in maker.batches(spans))
        self.wait_s, self.known_bad, self.decoder_pids = 0.0, dict(known_bad), {1}
        self.counters = collections.Counter()

    def __next__(self):
        return next(self._batches)

    def ray_stats(self):
        return {}, ""

    def close(self) -> None:
        self._batches.close()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return write_shards(folder / "shards", [write_video(folder / f"v{i}.mp4", 24 + 8 * i) for i in range(2)])


@pytest.fixture
def settings(manifest, tmp_path):
    return pretrain_settings(
        manifest,
        **{
            "run.storage": str(tmp_path), "model.encoder.name": "convnextv2_atto", "model.mask_ratio": 0.5,
            "model.decoder_dim": 16, "train.batch_size": 4, "train.steps": 5, "checkpoint.every_steps": 2,
            "log.every_steps": 1, "log.writers": [],
        },
    )  # fmt: skip


@pytest.fixture
def local(monkeypatch):
    monkeypatch.setattr(batches, "BatchStream", LocalStream)


def fit(settings, board=None):
    plan = read_plan(settings.data, settings.run.seed)
    task = WorkerTask(settings, plan, board or LocalBoard(), FACTS, ".")
    scaling = ray.train.ScalingConfig(num_workers=0)
    return TorchTrainer(train_worker, train_loop_config={"task": task}, scaling_config=scaling).fit()


def lines(tmp_path, name):
    return [json.loads(line) for line in (tmp_path / "test" / name).read_text().splitlines()]


def test_a_run_leaves_what_the_docs_say_and_equals_the_plain_loop(local, settings, tmp_path):
    board = LocalBoard()

    result = fit(settings, board)

    assert result.return_value.stopped is None
    metrics = lines(tmp_path, "metrics.jsonl")
    assert [line["step"] for line in metrics] == [1, 2, 3, 4, 5]
    assert [line["loss"] for line in metrics] == plain_losses(settings)
    ledger = read_ledger(RunFolder(str(tmp_path), "test"))
    assert [(line.first_step, line.last_step, line.start, line.end) for line in ledger] == [
        (1, 2, 0, 8), (3, 4, 8, 16), (5, 5, 16, 20),
    ]  # fmt: skip
    names = [event["name"] for event in lines(tmp_path, "events.jsonl") if event["event"] == "checkpoint"]
    assert names == ["step_0000002", "step_0000004", "step_0000005"]
    facts = checkpoint.verify(result.checkpoint.path)
    assert (facts.step, facts.rows_used, facts.manifest_sha256) == (5, 20, "abc")
    assert result.metrics["finished"]
    with np.load(tmp_path / "test/pictures/step_0000005.npz") as pictures:
        assert pictures["online"].shape == (4, 2, 64, 64, 3)
    progress = board.read()["progress"]
    assert (progress["step"], progress["steps"], progress["eta_s"]) == (5, 5, 0)
    assert board.working[-1] is False


def plain_losses(settings) -> list[float]:
    """The same step function in four lines of Python."""
    from videomac.pretrain.setup import build_state, derive_extent

    plan = read_plan(settings.data, settings.run.seed)
    state = build_state(settings, derive_extent(settings, plan.rows_per_epoch, 1), torch.device("cpu"))
    rows = iterate(plan, recipe_for(settings), 0, 20, 4)
    return [train_step(state, rows).loss for _ in range(5)]


def test_a_nonfinite_loss_ends_the_function_without_an_exception_that_would_restart_it(local, settings, monkeypatch):
    def spoilt(state, micro_batches):
        if state.step == 4:
            with torch.no_grad():
                state.online.decoder.mask_token.fill_(float("nan"))
        return train_step(state, micro_batches)

    monkeypatch.setattr(loop, "train_step", spoilt)

    error = fit(settings).return_value.stopped

    assert type(error) is TrainingError
    message = str(error)
    assert message.startswith("step 5: loss nan")
    assert "keys: v" in message
    assert message.endswith("last good checkpoint: step_0000004")


def test_a_first_batch_that_never_comes_ends_the_function_without_an_exception(settings, monkeypatch, tmp_path):
    class Starved(LocalStream):
        def __next__(self):
            raise ClusterError("no CPU")

    monkeypatch.setattr(batches, "BatchStream", Starved)

    error = fit(settings).return_value.stopped

    assert type(error) is ClusterError
    assert str(error) == "no CPU (worker 0); last good checkpoint: none"
    assert lines(tmp_path, "events.jsonl")[-1]["event"] == "stopped"


def test_a_damaged_shard_is_named_and_ends_the_run_without_a_restart(local, settings, manifest, tmp_path):
    shards = Path(shutil.copytree(Path(manifest).parent, tmp_path / "damaged"))
    (tar,) = shards.glob("*.tar")
    content = bytearray(tar.read_bytes())
    content[len(content) // 4 :] = bytes(len(content) - len(content) // 4)
    tar.write_bytes(content)

    result = fit(settings.with_values(**{"data.manifest": str(shards / "manifest.json"), "data.max_bad_share": 0.5}))

    assert re.search(rf"rows .* could not be decoded \(damaged \({tar.name}\): \d+\)", str(result.return_value.stopped))
    bad = [event for event in lines(tmp_path, "events.jsonl") if event["event"] == "bad_row"]
    assert {(event["reason"], event["shard"]) for event in bad} == {("damaged", tar.name)}
