"""The table of networks agrees with the networks, and refuses what does not exist."""

import pytest

from videomac import config
from videomac.errors import ConfigError
from videomac.facts.networks import SIZES, check_stage, find_size, stage_strides
from videomac.nn.networks.registry import build_encoder

SMALLEST = ("convnextv2_atto", "convnext_atto", "resnet18", "resnet50")
"""One of each family; the families share their code, and large networks take seconds to build."""


@pytest.mark.parametrize("cell", [16, 32])
@pytest.mark.parametrize("name", SMALLEST)
def test_every_family_takes_every_cell_and_has_the_strides_of_the_table(name, cell):
    encoder = build_encoder(config.Encoder(name=name), cell)

    assert tuple(encoder.strides) == stage_strides(cell)
    assert {SIZES[name].family for name in SMALLEST} == {size.family for size in SIZES.values()}


def test_an_unknown_network_is_answered_with_the_one_that_was_meant():
    with pytest.raises(ConfigError, match=r"unknown network 'convnextv2_tinny'; did you mean 'convnextv2_tiny'\?"):
        find_size("convnextv2_tinny", "standard")


@pytest.mark.parametrize("name", [name for name, size in SIZES.items() if not size.paper])
def test_a_network_that_was_not_published_has_no_paper_variant(name):
    with pytest.raises(ConfigError, match=f"{name} has no variant paper.*use variant standard, or resnet18 or"):
        find_size(name, "paper")
    assert find_size(name, "standard") is SIZES[name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": 4}, r"has no stage 4; it has 0 \(stride 4\), .*3 \(stride 32\), and -1 for the last"),
        ({"stage": -2}, "has no stage -2"),
        ({"stage": 1, "stride_reduction": 4}, "stage 1 of resnet50 has stride 8"),
        ({"stage": 2, "stride_reduction": 3}, "stage 2 of resnet50 has stride 16"),
        ({"stage": 3, "cell": 16, "stride_reduction": 8}, "stage 3 of resnet50 has stride 16"),
        ({"stage": 2, "variant": "paper", "stride_reduction": 2}, "of variant paper cannot be dilated"),
    ],
)
def test_features_that_do_not_exist_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_stage("resnet50", **changes)


@pytest.mark.parametrize("stage", [-1, 0, 1, 2, 3])
def test_features_of_every_stage_exist(stage):
    check_stage("resnet50", stage)
    check_stage("resnet50", -1, stride_reduction=8)
