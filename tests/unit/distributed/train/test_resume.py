"""Which checkpoint an attempt starts from."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest

from tests.unit.distributed.train.boards import LocalBoard
from tests.unit.pretrain.conftest import make_batch, make_settings, make_state
from videomac.distributed.train.agreement import Agreement
from videomac.distributed.train.records import Records
from videomac.distributed.train.resume import Resume, name_of
from videomac.errors import CheckpointError
from videomac.pretrain import checkpoint
from videomac.pretrain.step import train_step
from videomac.records.checkpoint import DataFacts

FACTS = DataFacts(manifest_sha256="abc", decoder="pyav 14")


class Kept:
    """What Ray Train gives of a checkpoint in local storage."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def as_directory(self):
        return contextlib.nullcontext(self.path)


@pytest.fixture
def settings(tmp_path):
    return make_settings(run__storage=str(tmp_path))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 1 and 2; the second remembers a clip that crashes the decoder."""
    folder, state = tmp_path_factory.mktemp("saved"), make_state(make_settings())
    for step in (1, 2):
        train_step(state, iter([make_batch(range(4 * step - 4, 4 * step))]))
        facts = FACTS.model_copy(update={"verdicts": {"crash0": 6}}) if step == 2 else FACTS
        checkpoint.save(state, folder / f"step_000000{step}", facts)
    return folder


@pytest.fixture
def kept(saved, tmp_path):
    """Copies of these checkpoints, as Ray Train lists them."""
    return [Kept(shutil.copytree(saved / name, tmp_path / name)) for name in ("step_0000001", "step_0000002")]


def load(settings, kept, facts=FACTS):
    records, state = Records(settings, LocalBoard(), leads=True), make_state(settings)
    return Resume(Agreement(0, 1), records, facts).load(state, kept), state, records


def test_the_newest_checkpoint_is_loaded_with_the_clips_that_are_known_to_be_bad(settings, kept):
    saved, state, records = load(settings, kept)

    assert (state.step, state.rows_used, records.step, records.last_checkpoint) == (2, 8, 2, "step_0000002")
    assert saved.verdicts == {"crash0": 6}


def test_a_damaged_checkpoint_is_passed_over_with_an_event_and_a_notice(settings, kept, tmp_path):
    (tmp_path / "step_0000002/online.safetensors").write_bytes(b"")

    _, state, records = load(settings, kept)

    assert (state.step, records.last_checkpoint) == (1, "step_0000001")
    (event,) = [json.loads(line) for line in (tmp_path / "test/events.jsonl").read_text().splitlines()]
    assert event["event"] == "damaged_checkpoint"
    assert "online.safetensors changed since it was written" in event["message"]
    assert "trying the previous checkpoint" in records._board.read()["notices"][0]


def test_a_run_of_damaged_checkpoints_does_not_start_from_scratch(settings, kept, tmp_path):
    for step in (1, 2):
        shutil.rmtree(tmp_path / f"step_000000{step}")

    with pytest.raises(CheckpointError, match=r"no checkpoint of .*/test is intact: .*incomplete checkpoint"):
        load(settings, kept)


def test_a_checkpoint_of_other_shards_is_refused(settings, kept):
    with pytest.raises(CheckpointError, match=r"data\.manifest: the run started with shards abc"):
        load(settings, kept, FACTS.model_copy(update={"manifest_sha256": "other"}))


def test_without_checkpoints_the_run_starts_at_its_beginning(settings):
    saved, state, records = load(settings, [])

    assert (saved, state.step, records.last_checkpoint) == (FACTS, 0, "none")


def test_a_name_is_the_last_part_of_a_path_or_url():
    assert name_of(Kept("s3://bucket/run/checkpoints/step_0000004/")) == "step_0000004"
