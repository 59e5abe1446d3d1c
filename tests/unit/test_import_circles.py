"""No module needs a module that needs it, not even by an import inside a function."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("videomac", "shards", "ray_jobs")


def module_names(root: Path) -> dict[str, Path]:
    """Every module of our packages below a folder, and its file."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module: str, path: Path, known: set[str]) -> set[str]:
    """Our own modules that one module imports, wherever the statement stands."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {name if name in known else origin for name in names}
    return found & known


def graph(root: Path) -> dict[str, set[str]]:
    """Who imports whom."""
    modules = module_names(root)
    return {module: imported(module, path, set(modules)) for module, path in modules.items()}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle, each module followed by one that it is imported by; empty where there is none."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_our_modules_form_no_circle():
    edges = graph(ROOT)
    assert len(edges) > 100, "all modules are looked at"
    assert sum(map(len, edges.values())) > 300
    assert circle(edges) == []


@pytest.mark.parametrize("statement", ["from videomac.a.two import x", "from . import two", "from .two import x"])
def test_a_late_import_counts(tmp_path, statement):
    folder = tmp_path / "videomac" / "a"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text(f"def late():\n    {statement}\n")
    (folder / "two.py").write_text("import videomac.a.one\n")
    assert set(circle(graph(tmp_path))) == {"videomac.a.one", "videomac.a.two"}
    (folder / "one.py").write_text("def late():\n    pass\n")
    assert circle(graph(tmp_path)) == []
