"""The pages whose claims are tested: README and everything below docs/ but the lab notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "log.md"))


def name_of(page: Path) -> str:
    """A page's path below the root, as tests show it."""
    return str(page.relative_to(ROOT))


def blocks(language: str) -> Iterator[tuple[str, int, str]]:
    """Every code block in that language: page, line of its first line, text."""
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            yield name_of(page), text[: found.start(1)].count("\n") + 1, found[1]
