"""Extraction: padding, normalisation, networks that refuse a size."""

from __future__ import annotations

import pytest
import torch

from tests.unit.propagation.features import FRAME, section
from videomac.errors import EvaluationError
from videomac.propagation.extractors import extract, pad_to_multiple
from videomac.propagation.load import load_extractor


def test_frames_are_padded_by_replication():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    padded = pad_to_multiple(x, 8)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, 3:, :4].eq(x[0, 0, 2]).all()
    assert padded[0, 0, :3, 4:].eq(x[0, 0, :, 3:]).all()


def test_a_network_of_fixed_size_says_so():
    extractor = load_extractor(section(model="levit_128s"), 0)
    with pytest.raises(EvaluationError, match="levit_128s does not accept frames of 80x64"):
        next(extract(extractor, [FRAME]))


def test_dino_replaces_the_first_std_of_imagenet_only():
    extractor = load_extractor(section("raw_patch"), 0)
    plain, dino = (next(extract(extractor, [FRAME], s)) for s in (None, 0.228))
    assert not torch.equal(plain, dino)
