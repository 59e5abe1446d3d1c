"""The page about packed cells: its code runs as it stands."""

from __future__ import annotations

import re

import torch

from tests.conftest import ROOT


def test_the_code_on_the_page_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/design/packed-cells.md").read_text(), flags=re.DOTALL)
    torch.manual_seed(0)
    names = {}
    exec(code, names)
    assert [tuple(stage.shape[2:]) for stage in names["stages"]] == [(8, 8, 40), (4, 4, 80), (2, 2, 160), (1, 1, 320)]
    assert [tuple(whole.shape[2:]) for whole in names["whole"]] == [(24, 32), (12, 16), (6, 8), (3, 4)]
