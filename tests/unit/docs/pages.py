"""The pages whose claims are tested: README and everything below docs/ but the lab notebook."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "log.md"))

FIELDS = re.compile(r"<!-- fields: (?P<name>[\w.]+) -->\n(?P<table>.*?)\n?<!-- end -->", flags=re.DOTALL)
"""A table of a record's fields."""


def name_of(page: Path) -> str:
    """A page's path below the root, as tests show it."""
    return str(page.relative_to(ROOT))


def blocks(language: str) -> Iterator[tuple[str, int, str]]:
    """Every code block in that language: page, line of its first line, text."""
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            yield name_of(page), text[: found.start(1)].count("\n") + 1, found[1]


def resolve(dotted: str) -> Any:
    """What a dotted name stands for: a module's attribute, an attribute of a class, or the default of a field."""
    module, names = dotted, []
    while True:
        try:
            value: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
            assert module, f"{dotted}: no module of that name"
    for name in names:
        is_field = isinstance(value, type) and issubclass(value, pydantic.BaseModel) and name in value.model_fields
        value = value.model_fields[name].default if is_field else getattr(value, name)
    return value
