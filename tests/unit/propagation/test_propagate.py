"""Our propagation against transcriptions of the published algorithms: ties, repeats, borders, both dtypes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.reference import propagation as published
from videomac.errors import EvaluationError
from videomac.facts.presets import PRESETS
from videomac.propagation import propagate as module
from videomac.propagation.propagate import propagate

CASES = {
    "crw short queue": ("crw", {"n": 4, "radius": 5, "k": 10}),
    "crw queue longer than the clip": ("crw", {"n": 20, "radius": 12, "k": 10}),
    "crw more places than sites in the window": ("crw", {"n": 3, "radius": 2, "k": 10}),
    "dino": ("dino", {"n": 3, "radius": 4, "k": 5}),
    "vfs": ("vfs", {"n": 4, "radius": 5, "k": 10}),
}
GRIDS = [(15, 17), (4, 20), (4, 3)]  # more than one tile down and across, one tile, a window larger than the grid


def ours(features_tchw, first_lhw, name, n, radius, k):
    preset = dataclasses.replace(PRESETS[name], context=n, radius=radius, topk=k)
    return torch.stack(list(propagate(features_tchw, first_lhw, preset)))


def theirs(features_tchw, first_lhw, name, **settings):
    return torch.stack(getattr(published, name)(features_tchw, first_lhw, **settings))


def random_clip(grid, dtype=torch.float64, frames=7, channels=12):
    generator = torch.Generator().manual_seed(grid[0])
    scene = torch.randn(1, channels, *grid, generator=generator, dtype=dtype)
    noise = torch.randn(frames, channels, *grid, generator=generator, dtype=dtype)
    ids = torch.randint(0, 3, grid, generator=generator)
    return F.normalize(scene + 0.7 * noise, dim=1), F.one_hot(ids, 3).permute(2, 0, 1).to(dtype)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_equals_the_published_algorithm(case, grid):
    name, settings = CASES[case]
    features, first = random_clip(grid)
    got, expected = ours(features, first, name, **settings), theirs(features, first, name, **settings)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)
    assert torch.equal(got.argmax(1), expected.argmax(1)), "label maps differ in float64"


@pytest.mark.parametrize("case", CASES)
def test_ties_and_repeated_frames(case):
    """Features of small integers: affinities are exact, most rows tie at the k-th place, some frames are copies."""
    name, settings = CASES[case]
    generator = torch.Generator().manual_seed(1)
    features = torch.randint(-1, 2, (7, 3, 8, 15), generator=generator).double()
    features[3] = features[0]
    features[5] = features[4]
    first = torch.rand(4, 8, 15, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        ours(features, first, name, **settings), theirs(features, first, name, **settings), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("case", CASES)
def test_repeated_sites_and_frames_of_any_features(case):
    """Affinities of equal features must be equal to the last bit, wherever a product's edges are."""
    name, settings = CASES[case]
    features, _ = random_clip((15, 20), frames=8, channels=80)  # 300 = 12 x 25: the reference's products tie exactly
    repeated = torch.randperm(300, generator=torch.Generator().manual_seed(2))[:120]
    features.flatten(2)[:, :, repeated] = features.flatten(2)[:1, :, repeated[:1]]
    features[2] = features[3] = features[0]
    features[6] = features[5]
    first = torch.rand(3, 15, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(
        ours(features, first, name, **settings), theirs(features, first, name, **settings), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("name", ["crw", "dino"])
def test_affinities_that_rounding_makes_equal_are_ties(name):
    """`crw` takes the top k of A / T, `dino` of exp(A / T): float32 makes many neighbouring affinities equal there."""
    generator = torch.Generator().manual_seed(4)
    colours = F.normalize(torch.randint(1, 4, (6, 3, 12, 20), generator=generator).float(), dim=1)
    first = torch.rand(3, 12, 20, generator=generator)
    settings = {"n": 3, "radius": 4, "k": 5}
    got, expected = ours(colours, first, name, **settings), theirs(colours, first, name, **settings)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["crw short queue", "dino", "vfs"])
def test_float32_moves_next_to_no_pixel(case):
    name, settings = CASES[case]
    features, first = random_clip((16, 30), torch.float32)
    got, expected = ours(features, first, name, **settings), theirs(features, first, name, **settings)
    assert (got.argmax(1) == expected.argmax(1)).float().mean() >= 0.9999


def test_repeats_of_frame_0_count():
    """Without its repeats frame 0 weighs less in the first frames: the queue of copies is part of `crw`."""
    features, first = random_clip((9, 13))
    padded = ours(features, first, "crw", n=6, radius=4, k=10)
    once = torch.stack(
        list(
            propagate(
                features, first, dataclasses.replace(PRESETS["crw"], context=6, radius=4, first_among_recent="never")
            )
        )
    )
    assert not torch.allclose(padded[0], once[0])


def test_result_does_not_depend_on_the_tiling(monkeypatch):
    features, first = random_clip((15, 17))
    whole = ours(features, first, "crw", n=4, radius=5, k=10)
    monkeypatch.setattr(module, "TILE", 5)
    torch.testing.assert_close(ours(features, first, "crw", n=4, radius=5, k=10), whole, rtol=0, atol=1e-13)


def test_soft_labels_stay_a_distribution():
    features, first = random_clip((15, 17))
    soft = ours(features, first, "crw", n=4, radius=5, k=10)
    torch.testing.assert_close(soft.sum(1), torch.ones_like(soft[:, 0]))


def test_grids_must_agree():
    features, first = random_clip((9, 13))
    with pytest.raises(EvaluationError, match=r"grid of \(9, 13\).*\(4, 4\)"):
        list(propagate(features, first[:, :4, :4], PRESETS["crw"]))


def test_memory_holds_no_n_by_n(monkeypatch):
    """The largest tensor of a step is a tile's, far below sites x context sites."""
    features, first = random_clip((40, 40), torch.float32, frames=6)
    largest = 0
    original = torch.mm

    def watched(a, b, out=None):
        nonlocal largest
        result = original(a, b, out=out)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(module.torch, "mm", watched)
    ours(features, first, "crw", n=20, radius=12, k=10)
    assert 0 < largest < (40 * 40) ** 2 / 8
