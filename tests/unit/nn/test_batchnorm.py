"""BatchNorm over counted sites: torch's own on the same sites, and what happens below two of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from videomac.nn.batchnorm import SiteBatchNorm
from videomac.nn.masking import all_cells
from videomac.nn.sites.packed import PackedSites


def sites(rows, valid=None):
    return PackedSites(all_cells(rows, (1, 2)), (1, 2), None if valid is None else torch.tensor(valid))


@pytest.mark.parametrize("valid", [None, [True, False, True]])
def test_equals_batchnorm_of_the_valid_rows(valid):
    ours, theirs = SiteBatchNorm(4).double(), nn.BatchNorm1d(4).double()
    nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x_bkttc = torch.randn(3, 2, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    y_bkttc = ours(x_bkttc, sites(3, valid))
    counted = torch.tensor(valid or [True] * 3)
    wanted = theirs(x_bkttc[counted].reshape(-1, 4))
    torch.testing.assert_close(y_bkttc[counted].reshape(-1, 4), wanted)
    weight = torch.randn_like(wanted)
    (gradient,) = torch.autograd.grad((y_bkttc[counted].reshape(-1, 4) * weight).sum(), x_bkttc, retain_graph=True)
    (reference,) = torch.autograd.grad((wanted * weight).sum(), x_bkttc)
    torch.testing.assert_close(gradient, reference)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_gradients_by_finite_differences():
    norm = SiteBatchNorm(2).double()
    norm._follow = lambda *_: None
    x_bkttc = torch.randn(3, 2, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    counted = sites(3, [True, True, False])
    torch.autograd.gradcheck(lambda x, w, b: torch.func.functional_call(norm, {"weight": w, "bias": b}, (x, counted)),
                             (x_bkttc, norm.weight, norm.bias))  # fmt: skip
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(("rows", "valid"), [(2, [False, False]), (1, None)])
def test_below_two_sites_running_statistics_are_used_and_left_alone(rows, valid):
    norm = SiteBatchNorm(3)
    norm.running_mean.fill_(0.5)
    x_bkttc = torch.randn(rows, 1, 1, 1, 3)
    y_bkttc = norm(x_bkttc, PackedSites(torch.zeros(rows, 1, dtype=torch.int64), (1, 1), valid and torch.tensor(valid)))
    torch.testing.assert_close(y_bkttc, (x_bkttc - 0.5) / (1 + norm.eps) ** 0.5)
    assert norm.num_batches_tracked == 0
    assert (norm.running_mean == 0.5).all()
