"""docs/where.md names files that exist, and functions, classes and constants that stand in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROWS = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", (ROOT / "docs" / "where.md").read_text(), flags=re.MULTILINE)


def defined_in(path: Path) -> set[str]:
    """Names of a module's functions, classes, constants and methods (also as CLASS.METHOD)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner}" for inner in _bound(node.body)}
    return names | _bound(ast.parse(path.read_text()).body)


def _bound(body: list[ast.stmt]) -> set[str]:
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    functions = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return functions | {target.id for target in targets if isinstance(target, ast.Name)}


def test_a_newcomer_finds_at_least_ten_answers():
    assert len(ROWS) >= 10


@pytest.mark.parametrize(("question", "answer"), ROWS)
def test_what_an_answer_names_exists(question, answer):
    quoted = re.findall(r"`([^`]+)`", answer)
    paths = [ROOT / word for word in quoted if "/" in word]
    names = [word for word in quoted if "/" not in word]

    assert paths, f"{question}: names no file"
    assert [path for path in paths if not path.exists()] == []
    known = set().union(*(defined_in(path) for path in paths if path.suffix == ".py"))
    assert [name for name in names if name not in known] == []
