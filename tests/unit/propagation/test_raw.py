"""Raw pixels as features, by hand."""

from __future__ import annotations

import torch

from tests.unit.propagation.features import FRAME, extracted, section
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD


def test_raw_pixels():
    extractor, colour = extracted(section("raw_colour"))
    assert colour.shape == (3, 7, 9)
    mean = torch.tensor(FRAME[:8, :8].reshape(-1, 3)).double().mean(0) / 255
    expected = (mean - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(colour[:, 0, 0].double(), expected / expected.norm(), rtol=1e-5, atol=1e-5)
    assert extracted(section("raw_patch"))[1].shape == (192, 7, 9)
    assert extractor.grid((480, 854)) == (60, 107)
