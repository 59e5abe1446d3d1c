"""Mistakes that are easy to make must each fail a named test."""

import importlib.util
from pathlib import Path

import pytest

PLANT = Path(__file__).resolve().parents[1] / "planted" / "plant.py"
spec = importlib.util.spec_from_file_location("plant", PLANT)
plant = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plant)

EXPECTED = {"mask_flipped", "batch_wide_grn", "momentum_by_step_in_epoch", "gap_off_by_one", "pixel_order"}


def test_all_five_mistakes_are_there():
    assert set(plant.patches()) == EXPECTED


@pytest.fixture(scope="module")
def tree():
    with plant.sound_copy() as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_planted_mistake_is_seen(tree, name):
    assert plant.is_seen(tree, plant.patches()[name])
