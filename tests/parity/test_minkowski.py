"""minkowski = packed, forward and backward, in float64 to 1e-10; skipped where MinkowskiEngine is not installed."""

from __future__ import annotations

import pytest
import torch

from tests.parity.networks import SMALL, random_cells, small_network
from tests.parity.test_backends import assert_equal, stages_and_gradients
from videomac.errors import ConfigError
from videomac.nn.sites.minkowski import engine

pytestmark = pytest.mark.minkowski


@pytest.fixture(autouse=True, scope="module")
def _installed():
    try:
        engine()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("grid", "keep", "batch", "cell"), [((2, 3), 3, 2, 32), ((3, 3), 1, 1, 32), ((2, 2), 4, 2, 16)]
)
@pytest.mark.parametrize("variant", ["standard", "paper"])
@pytest.mark.parametrize("family", SMALL)
def test_minkowski_equals_packed(family, variant, grid, keep, batch, cell):
    network = small_network(family, variant, cell)
    x_bchw = torch.randn(batch, 3, grid[0] * cell, grid[1] * cell, dtype=torch.float64)
    cells_bk = random_cells(batch, grid[0] * grid[1], keep)
    reference = stages_and_gradients(network, "packed", x_bchw, cells_bk)
    assert_equal(stages_and_gradients(network, "minkowski", x_bchw, cells_bk), reference)


@pytest.mark.parametrize("family", SMALL)
def test_invalid_rows_and_drop_path(family):
    network = small_network(family)
    network.drop_path = 0.5
    x_bchw = torch.randn(3, 3, 32, 96, dtype=torch.float64)
    uniform_bl = torch.rand(3, network.num_blocks, dtype=torch.float64)
    arguments = (x_bchw, random_cells(3, 3, 2), torch.tensor([True, False, True]), uniform_bl)
    reference = stages_and_gradients(network, "packed", *arguments)
    assert_equal(stages_and_gradients(network, "minkowski", *arguments), reference)
