"""The paper's recipes hold what the documented table says, and the table is complete."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from videomac import config

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ("convnextv2_t", "convnextv2_s", "resnet18", "resnet50")


def table() -> dict[str, list[str]]:
    """Key -> the four cells of its row in docs/training.md."""
    lines = (ROOT / "docs/training.md").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("| key | convnextv2_t"))
    rows = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        key, *cells, source = (cell.strip() for cell in line.strip("|").split("|"))
        assert source, f"{key} has no source"
        rows[key.strip("`")] = cells
    return rows


def resolved(recipe: str) -> dict:
    path = f"configs/pretrain/videomac_{recipe}.yaml"
    return config.load(config.Pretrain, path, ["data.manifest=none"]).model_dump(mode="json")


def value_at(tree: dict, dotted: str):
    for part in dotted.split("."):
        tree = tree[part]
    return tree


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_documented_value_is_the_recipes(recipe):
    tree = resolved(recipe)

    for key, cells in table().items():
        assert value_at(tree, key) == yaml.safe_load(cells[RECIPES.index(recipe)]), key


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_key_of_the_recipe_is_documented(recipe):
    tree = yaml.safe_load((ROOT / f"configs/pretrain/videomac_{recipe}.yaml").read_text())

    set_keys = {f"{s}.{k}" for s, keys in tree.items() for k in keys if s != "run" and k != "encoder"}

    assert set_keys - {"workers.gpu", "workers.cpus"} <= set(table())


def test_the_laptop_config_loads():
    settings = config.load(config.Pretrain, "configs/pretrain/laptop.yaml", ["data.manifest=none"])

    assert not settings.workers.gpu
