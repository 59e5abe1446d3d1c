"""Two gloo ranks against one process: the same gradient, the same target network, the same judgement."""

from __future__ import annotations

import copy
import tempfile

import pytest
import torch
import torch._dynamo  # optimisers import it at their first step: once here, not in every forked rank
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.unit.pretrain.conftest import make_batch, make_settings, make_state
from videomac.errors import TrainingError
from videomac.pretrain.step import train_step

pytestmark = pytest.mark.integration

BAD = (1, 2, 8)
"""Rank 0 has rows 0..1 and 4..5 of each step's 8, so the ranks have unequal numbers of bad rows."""
STEPS = 10
COMPARED = 2
"""Steps after which weights still equal those of one process: AdamW turns rounding into whole updates later on."""
SETTINGS = {"train__batch_size": 8, "train__micro_batch": 2, "optim__warmup_share": 0.0, "optim__blr": 0.1}


def rank_rows(step: int, rank: int, world: int, size: int) -> list[range]:
    """Row numbers of each micro-step of `size` rows, as the data path deals them."""
    starts = [step * 8 + (micro * world + rank) * size for micro in range(8 // (size * world))]
    return [range(start, start + size) for start in starts]


def train(rank: int, world: int, steps: int, **changes):
    """State and reports after `steps` steps, and the online weights after the first `COMPARED`."""
    state = make_state(make_settings(**SETTINGS | changes), world)
    size = state.settings.train.micro_batch
    reports, early = [], {}
    for step in range(steps):
        reports.append(train_step(state, iter([make_batch(r, BAD) for r in rank_rows(step, rank, world, size)])))
        if step + 1 == COMPARED:
            early = copy.deepcopy(state.online.state_dict())
    return state, reports, early


def run_rank(rank: int, world: int, folder: str, steps: int, changes: dict) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    try:
        state, reports, early = train(rank, world, steps, **changes)
        figures = [(r.loss, r.grad_norm, r.good_rows, r.skipped) for r in reports]
        outcome = {"online": state.online.state_dict(), "target": state.target.state_dict()}
        outcome |= {"figures": figures, "early": early}
        outcome["bad_rows"] = state.bad_rows
    except TrainingError as error:
        outcome = {"error": str(error)}
    finally:
        dist.destroy_process_group()
    torch.save(outcome, f"{folder}/{rank}.pt")


def in_two_ranks(steps: int = COMPARED, **changes) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(run_rank, (2, folder, steps, changes), nprocs=2, start_method="fork")
        return [torch.load(f"{folder}/{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def both() -> list[dict]:
    """What the two ranks hold after the steps."""
    return in_two_ranks(STEPS)


def test_unequal_bad_rows_give_the_weights_of_one_process(both):
    one, reports, early = train(0, 1, COMPARED)

    first, second = both

    assert first["bad_rows"] == second["bad_rows"] == one.bad_rows == 3
    for (loss, norm, good, skipped), report in zip(first["figures"], reports, strict=False):
        assert loss == pytest.approx(report.loss, rel=1e-5)
        assert norm == pytest.approx(report.grad_norm, rel=1e-4)
        assert (good, skipped) == (report.good_rows, None)
    for name, tensor in early.items():
        torch.testing.assert_close(first["early"][name], tensor, rtol=1e-3, atol=2e-5, msg=name)


def test_ranks_hold_bit_equal_networks_after_many_steps(both):
    first, second = both

    assert len(first["figures"]) == STEPS

    for network in ("online", "target"):
        assert all(torch.equal(first[network][name], second[network][name]) for name in first[network])


@pytest.mark.slow
@pytest.mark.parametrize("every", ["step", "micro_step"])
def test_running_statistics_are_averaged_so_that_targets_agree(every):
    first, second = in_two_ranks(model__encoder={"name": "resnet18"}, optim__ema_every=every)

    assert [name for name in first["target"] if "running" in name]
    assert all(torch.equal(first["target"][name], second["target"][name]) for name in first["target"])


@pytest.mark.slow
def test_synced_batchnorm_gives_the_weights_of_one_process():
    changes = {"model__encoder": {"name": "resnet18"}, "train__sync_batchnorm": True}
    _, _, early = train(0, 1, COMPARED, **changes, train__micro_batch=8)

    first, _ = in_two_ranks(**changes, train__micro_batch=4)

    for name, tensor in early.items():
        torch.testing.assert_close(first["early"][name], tensor, rtol=1e-2, atol=2e-4, msg=name)


def test_all_ranks_stop_alike_and_name_the_keys_of_both():
    first, second = in_two_ranks(train__max_loss=1e-6)

    assert first["error"] == second["error"]
    assert "step 1" in first["error"]
    assert "clip0" in first["error"]
    assert "clip3" in first["error"]
