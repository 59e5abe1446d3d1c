"""The linear layer of packed cells is PyTorch's, whichever library computes it."""

import pytest
import torch
from torch.nn import functional as F

from videomac.nn.sites import linear as products


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", ["whole", "strided", "transposed weight"])
def test_values_and_gradients_are_pytorchs(bias, layout):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 8, 20), torch.randn(12, 20)
    if layout == "strided":
        x = torch.randn(2, 3, 16, 20)[:, :, ::2]
    if layout == "transposed weight":
        weight = torch.randn(20, 12).t()
    ours = [value.detach().requires_grad_() for value in (x, weight, torch.randn(12))]
    theirs = [value.detach().double().requires_grad_() for value in ours]
    assert products._by_onednn(ours[0], ours[1]) == (products.ONEDNN_LINEAR is not None)
    results = []
    for linear, (a, w, b) in ((products.linear, ours), (F.linear, theirs)):
        y = linear(a, w, b if bias else None)
        (y * torch.arange(12)).square().sum().backward()
        results.append(y)
    torch.testing.assert_close(results[0].double(), results[1], rtol=1e-5, atol=1e-5)
    for one, other in zip(ours[: 2 + bias], theirs, strict=False):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-2)


def test_a_build_without_the_operator_takes_pytorchs_own(monkeypatch):
    monkeypatch.setattr(products, "ONEDNN_LINEAR", None)
    x, weight = torch.randn(4, 5), torch.randn(3, 5)
    assert products.linear(x, weight, None).equal(F.linear(x, weight))
