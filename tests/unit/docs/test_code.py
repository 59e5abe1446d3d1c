"""Every Python block of the documentation runs as it stands, in a folder that holds what its text names."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import torch

from tests.unit.docs.pages import PAGES, blocks
from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.pretrain import checkpoint
from videomac.pretrain.export import export
from videomac.report import page as page_module

LONG = ("docs/evaluation.md",)
"""Pages with a block that takes more than a few seconds."""
SLOWLY = [pytest.mark.integration, pytest.mark.timeout(400)]
BLOCKS = [
    pytest.param(page, line, code, id=f"{page}:{line}", marks=SLOWLY if page in LONG else [])
    for page, line, code in blocks("python")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the exports that the pages name."""
    place = tmp_path_factory.mktemp("reader")
    checkpoint.save(make_state(make_settings()), place / "saved")
    for out in ("exported", "PATH/laptop/export"):
        export(config.Export(checkpoint=str(place / "saved"), out=str(place / out), format="huggingface"))
    return place


def has_readme_weights(names: dict[str, Any], printed: str) -> None:
    assert names["backbone"].num_features == 320


def has_levels(names: dict[str, Any], printed: str) -> None:
    height, width = names["frames_bchw"].shape[2:]
    assert [tuple(level.shape[1:]) for level in names["pyramid"].values()] == [
        (64, height // stride, width // stride) for stride in (4, 8, 16, 32)
    ]


def has_stages(names: dict[str, Any], printed: str) -> None:
    assert [tuple(stage.shape[2:]) for stage in names["stages"]] == [(8, 8, 40), (4, 4, 80), (2, 2, 160), (1, 1, 320)]
    assert [tuple(whole.shape[2:]) for whole in names["whole"]] == [(24, 32), (12, 16), (6, 8), (3, 4)]


def has_scores(names: dict[str, Any], printed: str) -> None:
    assert 0.5 < ast.literal_eval(printed)["J&F-Mean"] < 1


def has_page(names: dict[str, Any], printed: str) -> None:
    page = Path("report.html").read_text()
    assert "blackswan" in page
    assert page.count("data:image/") >= 3


OUTCOMES: dict[str, Callable[[dict[str, Any], str], None]] = {
    "README.md": has_readme_weights,
    "docs/training.md": has_levels,
    "docs/evaluation.md": has_scores,
    "docs/design/packed-cells.md": has_stages,
    "docs/design/report.md": has_page,
}
"""What must hold after the block of a page has run, given its names and what it printed."""


@pytest.fixture(autouse=True)
def _documented_template(monkeypatch):
    """The template of docs/design/report.md is found beside those of the package."""
    ((_, _, template),) = blocks("jinja")
    environment = page_module._environment()
    loader = jinja2.ChoiceLoader([jinja2.DictLoader({"clip.html.j2": template}), environment.loader])
    monkeypatch.setattr(environment, "loader", loader)


@pytest.mark.parametrize(("page", "line", "code"), BLOCKS)
def test_a_block_runs_as_it_stands(page, line, code, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "page"}

    exec(compile(code, f"{page}:{line}", "exec"), names)

    check = OUTCOMES[page]
    check(names, capsys.readouterr().out)


def test_every_page_with_python_has_an_outcome_to_look_at():
    assert {page for page, _, _ in blocks("python")} == set(OUTCOMES)


def test_python_stands_in_blocks_that_say_so():
    """A block in any other spelling (`py`, `python3`, indented) would be run by no test."""
    for page in PAGES:
        languages = {line[3:].strip() for line in page.read_text().splitlines() if line.startswith("```")}
        assert languages <= {"", "python", "bash", "sh", "yaml", "jinja", "json"}, page
