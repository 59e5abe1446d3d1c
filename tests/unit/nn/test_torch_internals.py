"""Private names of torch: each does what we take it for, and none is used elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.conftest import ROOT
from videomac.nn import torch_internals

PRIVATE = re.compile(r"\btorch\.(?:\w+\.)*_(?!_)\w+|\btorch\.ops\b|\bfrom torch[\w.]*\._|\bimport torch[\w.]*\._")


def test_onednns_product_is_the_linear_layer():
    operator = torch_internals.ONEDNN_LINEAR
    assert operator is not None, "this torch has changed it: see `_onednn_linear`"
    x, weight, bias = torch.randn(2, 3, 8), torch.randn(5, 8), torch.randn(5)
    torch.testing.assert_close(operator(x, weight, bias, "none", [], ""), F.linear(x, weight, bias))
    torch.testing.assert_close(operator(x, weight, None, "none", [], ""), F.linear(x, weight))


def test_a_changed_operator_is_not_used(monkeypatch):
    class Changed:
        @staticmethod
        def default(*_):
            return torch.zeros(1, 1)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", Changed)
    assert torch_internals._onednn_linear() is None


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="asks Linux what this CPU can do")
def test_bf16_units_are_those_that_linux_knows():
    flags = Path("/proc/cpuinfo").read_text()
    assert ("avx512_bf16" in flags or "amx_bf16" in flags) == torch_internals.CPU_MULTIPLIES_BF16


def test_lerp_all_moves_every_tensor_by_the_same_share():
    targets, sources = [torch.zeros(3), torch.ones(2, 2)], [torch.ones(3), torch.full((2, 2), 5.0)]
    torch_internals.lerp_all(targets, sources, 0.25)
    assert torch.equal(targets[0], torch.full((3,), 0.25))
    assert torch.equal(targets[1], torch.full((2, 2), 2.0))


def test_no_other_file_uses_private_names_of_torch():
    own = ROOT / "videomac/nn/torch_internals.py"
    files = [path for folder in ("videomac", "shards", "ray_jobs") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): PRIVATE.findall(path.read_text()) for path in files if path != own}
    assert {path: names for path, names in found.items() if names} == {}
    assert len(PRIVATE.findall(own.read_text())) >= 4
