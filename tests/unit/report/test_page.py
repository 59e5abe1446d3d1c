"""The frame of a page: escaping, navigation, tables, pictures, atomic writing."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import numpy as np
import pytest
from PIL import Image

from videomac.errors import StorageError
from videomac.report import figures, page
from videomac.text import DASH

CHILD = """{% extends "base.html.j2" %}{% import "ui.html.j2" as ui with context %}
{% block header %}<h1>{{ name }}</h1>{% endblock %}
{% block main %}{% call ui.section("scores", "The scores") %}{{ ui.table(table) }}{% endcall %}{% endblock %}"""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> str:
    environment = page._environment().overlay()
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader({"child": CHILD}), page._environment().loader])
    monkeypatch.setattr(page, "_environment", lambda: environment)
    return "child"


def test_a_page_escapes_its_values_and_lists_its_sections(child: str) -> None:
    table = page.Table(["name", "J"], [["<i>", 0.25], ["b", None]], digits=(None, 3))
    html = page.render(child, name="<script>alert(1)</script>", table=table)
    assert "<script" not in html
    assert "&lt;i&gt;" in html
    assert '<a href="#scores">The scores</a>' in html
    assert '<section id="scores">' in html
    assert '<td class="number">0.250</td>' in html
    assert f'<td class="number">{DASH}</td>' in html
    assert '<td class="text">b</td>' in html


def test_a_page_loads_nothing(child: str) -> None:
    html = page.render(child, name="a", table=page.Table(["a"], [[1]]))
    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)|@import|url\(""", html)


def test_a_missing_value_is_a_mistake_not_a_blank(child: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        page.render(child, table=page.Table(["a"], [[1]]))


def test_a_png_keeps_every_pixel() -> None:
    pixels_hwc = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    head, _, body = page.image_data_uri(pixels_hwc, "png").partition(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))) == pixels_hwc).all()


def test_a_chart_has_both_schemes_and_touches_nothing_global() -> None:
    import matplotlib

    before = matplotlib.rcParams.copy()
    figure, (axes,) = figures.new_figure(4, 2)
    axes.plot([0, 1], [0, 1], color=figures.BLUE)
    figures.titled(axes, "a title")
    svg = base64.b64decode(page.figure_data_uri(figure).partition(",")[2]).decode()
    assert "var(--blue)" in svg
    assert "prefers-color-scheme:dark" in svg
    assert svg.count(figures.BLUE) == 1, "only where the variable is defined"
    assert matplotlib.rcParams.copy() == before


@pytest.mark.integration
def test_pyplot_is_never_imported_and_matplotlib_only_for_a_chart() -> None:
    code = (
        "import sys; from videomac.report import figures, page; assert 'matplotlib' not in sys.modules;"
        "page.figure_data_uri(figures.new_figure(2, 2)[0]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_writing_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    page.write_page(str(path), "one")
    page.write_page(str(path), "two ü")
    assert path.read_text(encoding="utf-8") == "two ü"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_writing_to_an_object_store_url(memory_store) -> None:
    page.write_page("memory://pages/report.html", "hello")
    assert memory_store.objects["memory://pages/report.html"] == b"hello"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/report\.html: a file stands where a folder is expected"):
        page.write_page(str(tmp_path / "file" / "report.html"), "x")
