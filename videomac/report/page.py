"""The frame of every page: one self-contained HTML file without scripts that fetches nothing.

A page is a template in `templates/` that extends `base.html.j2` and is rendered by `render`; `docs/design/report.md`
shows how to write another one. The frame's Content-Security-Policy forbids every request, so a page that is not
self-contained shows an error on the browser's console.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from PIL import Image

from videomac import __version__
from videomac.storage.copies import write_file
from videomac.text import duration_text, is_number, number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """A table for the macro `ui.table`: columns of numbers are right-aligned, None is shown as a dash."""

    columns: Sequence[str]
    """Headings."""
    rows: Sequence[Sequence[object]]
    """Values, row by row."""
    digits: Sequence[int | None] | None = None
    """Decimals of each column; None: integers whole, other numbers with four significant digits."""
    signed: frozenset[int] = frozenset()
    """Indices of the columns that show differences, with a plus sign."""
    strong: frozenset[int] = frozenset()
    """Indices of the rows in bold."""

    def numeric(self, column: int) -> bool:
        """Return whether every value of the column is a number or missing."""
        return all(row[column] is None or is_number(row[column]) for row in self.rows)

    def text(self, row: int, column: int) -> str:
        """Return a value as it is shown."""
        text = number_text(self.rows[row][column], self.digits[column] if self.digits else None)
        return f"+{text}" if self._rises(row, column) else text

    def _rises(self, row: int, column: int) -> bool:
        value = self.rows[row][column]
        return column in self.signed and is_number(value) and value > 0


def render(template: str, **context: object) -> str:
    """Return the HTML of `templates/TEMPLATE`; everything in `context` is escaped unless it is `markupsafe.Markup`."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M")
    return _environment().get_template(template).render(toc=[], version=__version__, now=now, **context)


def write_page(path: str, html: str) -> str:
    """Write `html` to a local path or URL; readers see the old page or the new one, never a part.

    Raises:
        StorageError: the place cannot be written.
    """
    write_file(path, html.encode("utf-8"))
    return path


def image_data_uri(image: np.ndarray | Image.Image, format: str = "jpeg") -> str:  # noqa: A002 (PIL's word for it)
    """Return a picture (uint8 (H, W, 3) or (H, W), or PIL's) as a `data:` URI: jpeg for photographs, png for masks."""
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    stream = io.BytesIO()
    picture.save(stream, format=format, **({"quality": 90} if format in ("jpeg", "webp") else {"optimize": True}))
    return f"data:image/{format};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def figure_data_uri(figure: Figure) -> str:
    """Return a matplotlib figure as an SVG `data:` URI; its colours follow the reader's light or dark scheme.

    Make the figure with `figures.new_figure`, without pyplot, which would keep it in memory.
    """
    from videomac.report.figures import themed_svg

    return "data:image/svg+xml;base64," + base64.b64encode(themed_svg(figure).encode("utf-8")).decode("ascii")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("videomac.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters.update(number=number_text, duration=duration_text)
    return environment
