"""The page that a folder gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videomac.report import pages


@pytest.mark.parametrize(
    ("results", "expected"),
    [({"trials": []}, "sweep"), ({"rows": []}, "evaluation"), ({"stages_s": {}}, "run"), (None, "run")],
)
def test_the_page_follows_from_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: object, expected: str
) -> None:
    for kind in ("run", "sweep", "evaluation"):
        monkeypatch.setattr(pages, f"write_{kind}_report", lambda folder, kind=kind: kind)
    if results is not None:
        (tmp_path / "results.json").write_text(json.dumps(results))
    assert pages.write_report(str(tmp_path)) == expected
