"""Each planted mistake fails the test that it names."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

PLANT = Path(__file__).resolve().parents[1] / "planted" / "plant.py"
spec = importlib.util.spec_from_file_location("plant", PLANT)
plant = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plant)

EXPECTED = {
    "batch_wide_grn",
    "gap_off_by_one",
    "grid_transposed",
    "mask_draws_hidden",
    "mask_flipped",
    "momentum_by_step_in_epoch",
    "pixel_order",
    "visibility_flipped",
}


def test_all_mistakes_exist():
    assert set(plant.patches()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_patch_applies_and_names_a_test_that_exists(name):
    """Quick, so that a change of the lines around a mistake is noticed before the slow part runs."""
    patch = plant.patches()[name]

    applied = subprocess.run(
        ["git", "apply", "--check", str(patch)], cwd=plant.ROOT, capture_output=True, text=True, check=False
    )

    assert applied.returncode == 0, applied.stderr
    path, test = plant.guarding_test(patch).split("::")
    assert f"def {test}(" in (plant.ROOT / path).read_text()


@pytest.fixture(scope="module")
def tree():
    with plant.sound_copy() as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_planted_mistake_is_seen(tree, name):
    assert plant.is_seen(tree, plant.patches()[name])
