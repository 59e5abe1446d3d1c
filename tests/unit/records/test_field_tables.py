"""Tables of fields in the docs are those of the records."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from videomac.records.base import field_table

ROOT = Path(__file__).resolve().parents[3]
TABLE = re.compile(r"<!-- fields: ([\w.]+) -->\n(.*?)<!-- end -->", re.DOTALL)
TABLES = [
    (page.name, *found) for page in sorted((ROOT / "docs").rglob("*.md")) for found in TABLE.findall(page.read_text())
]


@pytest.mark.parametrize(("page", "record", "table"), TABLES)
def test_a_documented_table_is_the_records(page: str, record: str, table: str) -> None:
    module, _, name = record.rpartition(".")
    assert table.strip() == field_table(getattr(importlib.import_module(module), name))
