"""Tests for a module mirror its path: tests/unit/ROOM/test_MODULE.py tests videomac/ROOM/MODULE.py."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNIT = ROOT / "tests" / "unit"
OTHERS = {
    "docs": "the documentation, and the tree itself",
    "test_laws.py": "laws that hold across rooms",
    "test_import_circles.py": "every module: whom it imports",
    "test_before_ray.py": "every command, up to the point where Ray starts",
    "config/test_mistakes.py": "the whole configuration: one line for each kind of mistake",
    "nn/test_public_names.py": "the public names of all of nn/",
    "pretrain/test_two_ranks.py": "one step on two ranks, which needs processes of its own",
    "report/test_in_browser.py": "all pages, in a browser",
    "shards/test_compatibility.py": "builds and shards of earlier versions",
    "storage/test_one_room.py": "the whole program: nobody else opens stores or hashes files",
}
"""Files and folders of tests/unit that test no single module, each with what it tests instead."""


def module_of(test: Path) -> list[Path]:
    """Where the module of a test file may be: a file or a package of videomac, of shards or of ray_jobs."""
    inner = test.relative_to(UNIT).with_name(test.name.removeprefix("test_"))
    places = (ROOT / "videomac" / inner, ROOT / inner)
    return [found for place in places for found in (place, place.with_suffix("")) if found.exists()]


@pytest.mark.parametrize("test", sorted(UNIT.rglob("test_*.py")), ids=lambda path: str(path.relative_to(UNIT)))
def test_a_test_file_has_the_path_of_its_module(test):
    inner = test.relative_to(UNIT)
    if str(inner) in OTHERS or inner.parts[0] in OTHERS:
        return

    assert module_of(test), f"no module at the path of {test.relative_to(ROOT)}; move it, or name it in OTHERS"


def test_every_exception_is_there():
    assert [name for name in OTHERS if not (UNIT / name).exists()] == []


def listed(page: str, after: str) -> set[str]:
    """Return the names one level below `videomac/` in the first tree of a page after a heading."""
    text = (ROOT / page).read_text().split(after, 1)[1].split("```")[1]
    below = text.split("videomac/", 1)[1]
    return {line.split()[0] for line in below.splitlines() if line.startswith("  ") and not line.startswith("   ")}


def test_the_drawn_trees_are_the_tree():
    package = {f"{path.name}/" for path in (ROOT / "videomac").iterdir() if (path / "__init__.py").exists()}
    modules = {path.name for path in (ROOT / "videomac").glob("*.py")} - {"__init__.py"}

    assert listed("docs/design/architecture.md", "## The tree") == package | modules
    assert listed("README.md", "## Map") == package | modules


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
def test_the_direction_on_the_page_is_the_one_that_is_checked():
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    line = (ROOT / "docs/design/architecture.md").read_text().split("```")[1].strip()

    shown = [part.strip().strip("()") for part in line.split(">")]

    assert shown == [layer.replace("videomac.", "") for layer in layers]


def test_paths_on_the_architecture_page_exist():
    text = (ROOT / "docs/design/architecture.md").read_text()
    quoted = re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.py)`", text)

    assert [path for path in quoted if not (ROOT / path).exists() and not (ROOT / "videomac" / path).exists()] == []
    assert quoted
