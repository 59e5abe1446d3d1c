"""What the decoding process is told."""

from tests.unit.data.material import pretrain_settings, recipe_for
from videomac.data.recipe import Recipe


def test_a_recipe_survives_the_way_to_another_process():
    recipe = recipe_for(pretrain_settings("m", **{"data.gap_s": [0.1, 0.7], "data.augment.flip": 0.25, "run.seed": 3}))
    assert Recipe.from_json(recipe.to_json(), origin="test") == recipe


def test_a_recipe_holds_no_address_and_no_secret():
    settings = pretrain_settings("s3://b/m", **{"data.storage_options": {"key": "name", "secret": "hidden"}})
    text = recipe_for(settings).to_json()
    assert b"hidden" not in text
    assert b"s3://" not in text


def test_cells_follow_from_image_and_ratio():
    recipe = recipe_for(pretrain_settings("m", **{"data.image_size": [64, 96], "model.mask_ratio": 0.5}))
    assert (recipe.cell_count, recipe.visible_count) == (6, 3)
