"""A checkpoint holds everything, and only whole ones are read."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from tests.unit.pretrain.conftest import make_batch, make_settings, make_state
from videomac.errors import CheckpointError
from videomac.pretrain import checkpoint
from videomac.pretrain.step import train_step
from videomac.records.checkpoint import DataFacts


def train(state, steps):
    losses = []
    for _ in range(steps):
        losses.append(train_step(state, iter([make_batch(range(state.rows_used, state.rows_used + 4))])).loss)
    return losses


def test_training_goes_on_bit_equal_from_a_checkpoint(tmp_path):
    settings = make_settings(model__encoder__drop_path=0.1)
    straight = make_state(settings)
    expected = train(straight, 3)

    first = make_state(settings)
    losses = train(first, 2)
    checkpoint.save(first, tmp_path / "c")
    second = make_state(settings.with_values(**{"run.seed": 1}))  # other weights, all of them replaced
    facts = checkpoint.load(second, tmp_path / "c")
    losses += train(second, 1)

    assert losses == expected
    assert (second.step, second.rows_used, facts.config_hash) == (3, 12, settings.config_hash())
    for name in ("online", "target"):
        ours, theirs = getattr(second, name).state_dict(), getattr(straight, name).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def fused(state):
    """The same state with AdamW's fused kernel, which CUDA uses, on the CPU."""
    groups = state.optimizer.param_groups
    state.optimizer = torch.optim.AdamW(
        [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups],
        lr=0.0, betas=groups[0]["betas"], fused=True,
    )  # fmt: skip
    return state


def test_a_channels_last_run_resumes_bit_equal_with_fused_adamw(tmp_path):
    """Moments come back in the memory layout of their parameters, which the fused kernel relies on."""
    settings = make_settings(train__channels_last=True, optim__blr=1.0)
    straight = fused(make_state(settings))
    expected = train(straight, 3)

    first = fused(make_state(settings))
    losses = train(first, 2)
    checkpoint.save(first, tmp_path / "c")
    second = fused(make_state(settings))
    checkpoint.load(second, tmp_path / "c")
    strides = [(p.stride(), second.optimizer.state[p]["exp_avg"].stride()) for p in second.online.parameters()]
    losses += train(second, 1)

    assert all(ours == theirs for theirs, ours in strides)
    assert any(p.dim() == 4 and not p.is_contiguous() for p in second.online.parameters())
    assert losses == expected
    ours, theirs = second.online.state_dict(), straight.online.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "c"
    state = make_state(make_settings())
    train(state, 1)
    checkpoint.save(state, folder, DataFacts(manifest_sha256="abc"))
    return folder


@pytest.fixture
def saved(saved_once, tmp_path):
    return shutil.copytree(saved_once, tmp_path / "c")


def test_state_json_says_what_it_was_made_with(saved):
    facts = json.loads((saved / "state.json").read_text())

    assert facts["manifest_sha256"] == "abc"
    assert facts["config"]["run"]["name"] == "test"
    assert "torch" in facts["versions"]
    assert facts["rows_used"] == 4


@pytest.mark.parametrize("name", checkpoint.FILES)
def test_a_changed_byte_is_noticed_in_every_file(saved, name):
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(bytes(content))

    with pytest.raises(CheckpointError, match="checkpoint"):
        checkpoint.verify(saved)


@pytest.mark.parametrize("name", [*checkpoint.FILES, "files.json"])
def test_a_half_written_folder_is_no_checkpoint(saved, name):
    (saved / name).unlink()

    with pytest.raises(CheckpointError, match="incomplete checkpoint"):
        checkpoint.verify(saved)


def test_a_checkpoint_of_another_network_is_refused_by_name_and_shapes(saved):
    other = make_state(make_settings(model__decoder_dim=32))

    with pytest.raises(CheckpointError, match=r"weights do not match this model.*decoder.*\(16,\).*\(32,\)"):
        checkpoint.load(other, saved)


def test_nothing_in_a_checkpoint_is_a_pickle(saved):
    assert {path.suffix for path in saved.iterdir()} == {".safetensors", ".json"}
