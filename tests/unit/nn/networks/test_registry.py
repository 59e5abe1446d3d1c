"""Networks are timm's: names, shapes, results with every cell visible; impossible ones are refused."""

from __future__ import annotations

import pytest
import timm
import torch

from tests.unit.nn.networks.skeletons import without_values
from videomac import config
from videomac.errors import ConfigError, ExportError
from videomac.facts.networks import SIZES
from videomac.nn.masking import all_cells, unpack
from videomac.nn.networks.registry import build_encoder, timm_arguments, timm_state_dict


@pytest.mark.parametrize("name", SIZES)
def test_parameter_names_and_shapes_are_timms(name):
    with without_values():
        ours = build_encoder(config.Encoder(name=name))
        theirs = timm.create_model(name, num_classes=0)
    expected = {key: value.shape for key, value in theirs.state_dict().items() if not key.startswith("head.norm")}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected


QUICK = ["convnextv2_atto", "convnextv2_tiny", "convnext_atto", "convnext_tiny", "resnet18", "resnet50"]
HUGE = ["convnextv2_large", "convnextv2_huge", "convnext_large"]
"""Gigabytes of weights: held to timm by names and shapes only."""


@pytest.mark.parametrize("cell", [16, 32])
@pytest.mark.parametrize("name", QUICK)
def test_every_cell_visible_equals_timm(name, cell):
    assert_equals_timm(name, cell)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SIZES if name not in QUICK + HUGE])
def test_every_cell_visible_equals_timm_in_other_sizes(name):
    assert_equals_timm(name, 32)


def assert_equals_timm(name, cell):
    torch.manual_seed(0)
    encoder = build_encoder(config.Encoder(name=name), cell).eval()
    for parameter in encoder.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 1.0, 0.2)
    with without_values():
        reference = timm.create_model(**timm_arguments(encoder)).eval()
    reference.load_state_dict(timm_state_dict(encoder), strict=True, assign=True)
    x_bchw = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        expected = reference.forward_intermediates(x_bchw, intermediates_only=True)[-4:]
        grid = (96 // cell, 64 // cell)
        cells_bn = all_cells(2, grid)
        packed = [unpack(stage, cells_bn, grid).permute(0, 3, 1, 2) for stage in encoder(x_bchw, cells_bn)]
        for dense, every_cell, wanted in zip(encoder.dense(x_bchw), packed, expected, strict=True):
            assert (dense - wanted).abs().max() <= 1e-5 * wanted.abs().max()
            assert (every_cell - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'convnextv2_tiny'"):
        config.validate(config.Encoder, {"name": "convnextv2_tyny"}, origin="test")


def test_cell_that_does_not_fit_names_the_stride():
    with pytest.raises(ConfigError, match="cell of 8 px does not fit the network"):
        build_encoder(config.Encoder(name="convnextv2_atto"), cell=8)


def test_paper_has_no_resnet34():
    with pytest.raises(ConfigError, match="resnet34 has no variant paper"):
        config.validate(config.Encoder, {"name": "resnet34", "variant": "paper"}, origin="test")


def test_paper_has_linear_layers_in_every_size_as_published_checkpoints_do():
    encoder = build_encoder(config.Encoder(name="convnextv2_atto", variant="paper"))
    assert encoder.state_dict()["stages.0.blocks.0.mlp.fc1.weight"].shape == (160, 40)


def test_paper_is_refused_as_a_timm_network():
    encoder = build_encoder(config.Encoder(name="convnextv2_atto", variant="paper"))
    with pytest.raises(ExportError, match="in line"):
        timm_state_dict(encoder)
