"""The arithmetic of cells, and what it refuses."""

import pytest

from videomac.errors import ConfigError
from videomac.facts.grid import grid_of, visible_count


def test_cells_down_and_across():
    assert grid_of(224, 160, 32) == (7, 5)


@pytest.mark.parametrize(("size", "fitting"), [((224, 230), "224x224"), ((16, 64), "32x64"), ((0, 64), "32x64")])
def test_a_size_that_does_not_fit_is_answered_with_one_that_does(size, fitting):
    with pytest.raises(ConfigError, match=rf"{size[0]}x{size[1]} is not a multiple of model.cell = 32; use {fitting}"):
        grid_of(*size, 32)


def test_visible_cells_are_rounded_down():
    assert visible_count(49, 0.75) == 12


@pytest.mark.parametrize(("cells", "ratio"), [(49, 0.99), (4, 0.9), (1, 0.5)])
def test_a_ratio_that_leaves_nothing_to_see_shows_its_arithmetic(cells, ratio):
    with pytest.raises(ConfigError, match=rf"{ratio} of {cells} cells keeps int\(.*\) = 0 visible; expected 1 to"):
        visible_count(cells, ratio)
