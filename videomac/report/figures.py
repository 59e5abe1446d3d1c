"""Charts for the pages: matplotlib figures without pyplot, in colours that follow the reader's light or dark scheme."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# name: (light, dark). A figure uses the light value, which becomes a CSS variable in the SVG. People with the common
# colour vision deficiencies can tell the colours of series apart; their contrast to both backgrounds is at least 3.
INKS = {
    "ink": ("#23262d", "#e4e5e1"),
    "muted": ("#6d7178", "#9a9ea6"),
    "grid": ("#e3e4e0", "#30343b"),
    "blue": ("#2563c9", "#7fb0ff"),
    "orange": ("#c8590a", "#ffab5e"),
    "green": ("#16805a", "#5fd0a2"),
    "purple": ("#8645b8", "#cda3f5"),
}
INK, MUTED, GRID = (INKS[name][0] for name in ("ink", "muted", "grid"))
BLUE, ORANGE, GREEN, PURPLE = (INKS[name][0] for name in ("blue", "orange", "green", "purple"))


def new_figure(width_in: float, height_in: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a transparent figure in the style of the pages, and its axes row by row."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width_in, height_in), layout=layout, facecolor="none")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one in axes:
        _style(one)
    return figure, axes


def titled(axes: Axes, title: str, xlabel: str = "") -> None:
    """Put a small title above the axes, at the left, and a label below them."""
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, pad=7)
    axes.set_xlabel(xlabel, fontsize=8.5, color=MUTED)


def legend(axes: Axes, **place: Any) -> None:
    """Add a legend without a frame."""
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, handlelength=1.4, **place)


def themed_svg(figure: Figure) -> str:
    """Return the figure as SVG text; each colour of `INKS` becomes a CSS variable with a light and a dark value."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "videomac"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    for name, (light, _) in INKS.items():
        svg = svg.replace(light, f"var(--{name})")
    head, tag_end, rest = svg.partition(">")
    return f"{head}{tag_end}<style>{_theme_css()}</style>{rest}"


def _theme_css() -> str:
    light = "".join(f"--{name}:{pair[0]};" for name, pair in INKS.items())
    dark = "".join(f"--{name}:{pair[1]};" for name, pair in INKS.items())
    fonts = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif!important}"
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{fonts}"


def _style(axes: Axes) -> None:
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
        spine.set_linewidth(0.6)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0, pad=4)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
