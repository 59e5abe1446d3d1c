"""Write the tables of records' fields into the documentation: `python tests/unit/docs/write_tables.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.unit.docs.pages import FIELDS, PAGES, resolve
from videomac.records.base import field_table

for page in PAGES:
    text = page.read_text()
    new = FIELDS.sub(lambda m: f"<!-- fields: {m['name']} -->\n{field_table(resolve(m['name']))}\n<!-- end -->", text)
    if new != text:
        page.write_text(new)
        print(page)
