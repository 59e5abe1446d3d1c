"""packed = masked, forward and backward, in float64 to 1e-10."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parity.networks import SMALL, random_cells, small_network


def stages_and_gradients(network, backend, x_bchw, *arguments):
    network.backend = backend
    network.zero_grad()
    x_bchw = x_bchw.clone().requires_grad_()
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    stages = network(x_bchw, *arguments)
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(stage.shape, generator=generator, dtype=stage.dtype) for stage in stages]
    sum((stage * weight).sum() for stage, weight in zip(stages, weights, strict=True)).backward()
    results = {f"stage{i}": stage.detach() for i, stage in enumerate(stages)} | {"image": x_bchw.grad}
    results |= {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    results |= {name: value.clone() for name, value in network.named_buffers()}
    for name, value in network.named_buffers():
        value.copy_(buffers[name])
    return results


def assert_equal(results, reference, tolerance=1e-10):
    assert results.keys() == reference.keys()
    for name, value in reference.items():
        scale = value.abs().max().clamp(min=1.0)
        assert (results[name] - value).abs().max() <= tolerance * scale, name


CASES = [
    # grid, visible cells, batch
    ((3, 3), 4, 2),
    ((3, 3), 1, 2),
    ((3, 3), 9, 2),
    ((2, 3), 2, 1),
    ((1, 5), 3, 3),
    ((5, 2), 5, 1),
]


@pytest.mark.parametrize("variant", ["standard", "paper"])
@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize(("grid", "keep", "batch"), CASES)
def test_packed_equals_masked(family, variant, grid, keep, batch):
    network = small_network(family, variant)
    x_bchw = torch.randn(batch, 3, grid[0] * 32, grid[1] * 32, dtype=torch.float64)
    cells_bk = random_cells(batch, grid[0] * grid[1], keep)
    reference = stages_and_gradients(network, "masked", x_bchw, cells_bk)
    assert_equal(stages_and_gradients(network, "packed", x_bchw, cells_bk), reference)


@pytest.mark.parametrize("family", SMALL)
def test_cells_of_16_px(family):
    network = small_network(family, cell=16)
    x_bchw = torch.randn(2, 3, 48, 80, dtype=torch.float64)
    cells_bk = random_cells(2, 15, 6)
    reference = stages_and_gradients(network, "masked", x_bchw, cells_bk)
    assert_equal(stages_and_gradients(network, "packed", x_bchw, cells_bk), reference)


@pytest.mark.parametrize("variant", ["standard", "paper"])
@pytest.mark.parametrize("family", SMALL)
def test_invalid_rows_and_drop_path(family, variant):
    network = small_network(family, variant)
    network.drop_path = 0.5
    x_bchw = torch.randn(4, 3, 64, 96, dtype=torch.float64)
    cells_bk = random_cells(4, 6, 3)
    valid_b = torch.tensor([True, False, True, False])
    uniform_bl = torch.rand(4, network.num_blocks, dtype=torch.float64)
    arguments = (x_bchw, cells_bk, valid_b, uniform_bl)
    reference = stages_and_gradients(network, "masked", *arguments)
    assert_equal(stages_and_gradients(network, "packed", *arguments), reference)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.sampled_from(["standard", "paper"]), st.sampled_from([16, 32]), st.data())
def test_any_grid_and_any_mask(family, variant, cell, data):
    grid = (data.draw(st.integers(1, 5), "down"), data.draw(st.integers(1, 5), "across"))
    batch, keep = data.draw(st.integers(1, 3), "batch"), data.draw(st.integers(1, grid[0] * grid[1]), "keep")
    network = small_network(family, variant, cell, seed=data.draw(st.integers(0, 99), "seed"))
    network.train(data.draw(st.booleans(), "training"))
    x_bchw = torch.randn(batch, 3, grid[0] * cell, grid[1] * cell, dtype=torch.float64)
    cells_bk = random_cells(batch, grid[0] * grid[1], keep)
    reference = stages_and_gradients(network, "masked", x_bchw, cells_bk)
    assert_equal(stages_and_gradients(network, "packed", x_bchw, cells_bk), reference)
