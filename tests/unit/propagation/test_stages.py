"""Stages of any timm network: strides, grids, dilation, and what is refused."""

from __future__ import annotations

import pytest
import torch

from tests.unit.propagation.features import FRAME, extracted, section
from videomac.errors import EvaluationError
from videomac.propagation.load import load_extractor


@pytest.mark.parametrize(
    ("model", "stage", "stride", "channels"),
    [
        ("convnextv2_atto", 0, 4, 40),
        ("convnextv2_atto", 1, 8, 80),
        ("convnextv2_atto", -1, 32, 320),
        ("resnet18", 0, 4, 64),
        ("resnet18", 2, 16, 256),
        ("vit_tiny_patch16_224", 3, 16, 192),
        ("vit_tiny_patch16_224", -1, 16, 192),
    ],
)
def test_any_timm_network_at_any_stage(model, stage, stride, channels):
    extractor, x = extracted(section(model=model), stage)
    assert extractor.stride == stride
    assert x.shape == (channels, -(-50 // stride), -(-70 // stride))
    torch.testing.assert_close(x.norm(dim=0), torch.ones(x.shape[1:]))


@pytest.mark.parametrize(
    ("model", "stage", "reduction"),
    [("resnet18", 2, 2), ("resnet18", 3, 8), ("resnet50d", 2, 2), ("convnext_atto", 1, 2), ("convnext_atto", 3, 8)],
)
def test_a_dilated_network_has_the_strided_ones_values_at_its_sites(model, stage, reduction):
    strided, x = extracted(section(model=model), stage)
    dilated, dense = extracted(section(model=model), stage, stride_reduction=reduction)
    assert dilated.stride == strided.stride // reduction >= 4
    assert dense.shape[1:] == dilated.grid(FRAME.shape[:2])
    torch.testing.assert_close(dense[:, ::reduction, ::reduction], x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "stage", "reduction", "message"),
    [
        ("resnet18", 1, 4, "8/4 is 2; features need stride 4 or more"),
        ("vit_tiny_patch16_224", 3, 2, r"patch_embed.proj .* goes from stride 1 past 8 to 16"),
        ("tf_efficientnet_b0", 3, 2, "pads by the size of its input"),
        ("resnet50d", 2, 4, "mean over neighbours, which cannot be dilated"),
    ],
)
def test_what_cannot_be_dilated_is_named(model, stage, reduction, message):
    with pytest.raises(EvaluationError, match=message):
        load_extractor(section(model=model), stage, stride_reduction=reduction)


def test_a_stage_that_is_not_there():
    with pytest.raises(EvaluationError, match=r"resnet18 has no stage 7; it has 0: stride 4, .* \(-1: the last\)"):
        load_extractor(section(model="resnet18"), 7)
