"""The loss on clips of the validation split."""

from __future__ import annotations

import pytest

from tests.unit.data.material import write_shards, write_video
from tests.unit.pretrain.conftest import make_settings, make_state
from videomac.errors import DataError
from videomac.pretrain.heldout import HeldOut, read_training_plans


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    videos = [write_video(folder / f"{name}.mp4", 48) for name in "abc"]
    return write_shards(folder / "shards", videos, val=["b.mp4"])


def held_out(manifest, rank=0, world=1) -> HeldOut:
    settings = make_settings(data__manifest=manifest, log__held_out_pairs=8, log__held_out_every_steps=1)
    return HeldOut(settings, read_training_plans(settings)[1], rank, world)


def test_rows_come_from_held_out_clips_and_are_the_same_for_any_number_of_workers(manifest):
    one = held_out(manifest)._decode()
    two = [batch for rank in (0, 1) for batch in held_out(manifest, rank, 2)._decode()]

    for batches in (one, two):
        assert sorted(g for batch in batches for g in batch.g_b.tolist()) == list(range(8))
        assert {key.split("/")[-1][0] for batch in batches for key in batch.keys} == {"b"}


def test_losses_are_those_of_the_network_at_hand_and_change_nothing(manifest):
    state, scorer = make_state(make_settings()), held_out(manifest)

    losses = scorer.losses(state)

    assert set(losses) == {f"held_out_loss_{part}" for part in ("online", "target", "consistency")}
    assert losses["held_out_loss_online"] > 0
    assert scorer.losses(state) == losses
    assert state.online.training


def test_shards_without_held_out_clips_are_an_error_that_says_what_to_do(manifest, tmp_path):
    alone = write_shards(tmp_path / "shards", [write_video(tmp_path / "a.mp4", 24)])

    with pytest.raises(DataError, match=r"log\.held_out_every_steps needs clips in the split val"):
        held_out(alone)
