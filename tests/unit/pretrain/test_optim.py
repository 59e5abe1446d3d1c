"""Which parameters decay."""

from __future__ import annotations

import torch
from torch import nn

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac.pretrain.optim import decays


def test_only_matrices_and_kernels_decay():
    shapes = {
        "dw.weight": (8, 1, 7, 7),
        "fc.weight": (4, 8),
        "fc.bias": (4,),
        "grn.gamma": (1, 1, 1, 8),
        "mask_token": (16,),
    }

    assert [decays(name, torch.zeros(shape)) for name, shape in shapes.items()] == [True, True, False, False, False]


def test_every_parameter_is_in_exactly_one_group():
    state = make_state(make_settings())

    grouped = [id(p) for group in state.optimizer.param_groups for p in group["params"]]

    assert sorted(grouped) == sorted(id(p) for p in state.online.parameters())
    norms = [m.weight for m in state.online.modules() if isinstance(m, nn.LayerNorm)]
    undecayed = {id(p) for p in state.optimizer.param_groups[1]["params"]}
    assert norms
    assert all(id(p) in undecayed for p in norms)
    assert state.optimizer.param_groups[1]["weight_decay"] == 0
