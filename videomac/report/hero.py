"""One wide picture of a run, for a README: what it reconstructs, and where its frozen features carry a mask.

All lengths of the layout are in inches.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from videomac.report.figures import INK, MUTED
from videomac.report.folder import Arrays, RunRecord, read_run
from videomac.report.pictures import drawn_frames
from videomac.report.scores import Scores, read_scores
from videomac.storage.copies import write_file
from videomac.text import number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, MARGIN, LABELS, GAP, GROUP_GAP, HEAD = 12.0, 0.15, 1.35, 0.05, 0.18, 0.45
DPI = 150
PAIRS, CLIPS, FRAMES = 3, 2, 3


@dataclass(frozen=True)
class Row:
    """A row of pictures in groups, with its name at the left and, if it starts a block, a heading above."""

    name: str
    groups: Sequence[Sequence[np.ndarray]]
    heading: str = ""
    captions: Sequence[str] = ()
    """One below each picture."""

    @property
    def unit(self) -> float:
        """Height of the pictures, which share the width of the row by their proportions."""
        pictures = [picture for group in self.groups for picture in group]
        gaps = GAP * (len(pictures) - len(self.groups)) + GROUP_GAP * (len(self.groups) - 1)
        return (WIDTH - 2 * MARGIN - LABELS - gaps) / sum(p.shape[1] / p.shape[0] for p in pictures)

    @property
    def height(self) -> float:
        """Height of the whole row."""
        return self.unit + HEAD * bool(self.heading) + 0.24 * bool(self.captions) + GAP


def hero_picture(run_folder: str, out_png: str) -> str | None:
    """Draw reconstructions and propagated masks of a run into a PNG 1800 pixels wide.

    Returns its path, or None if the run has neither reconstructions nor pictures of propagation.

    Raises:
        StorageError: there is no such folder, or the picture cannot be written.
    """
    run = read_run(run_folder)
    rows = [*_reconstruction_rows(run), *_propagation_rows(run, read_scores(run.evaluation))]
    if not rows:
        return None
    stream = io.BytesIO()
    _draw(rows).savefig(stream, format="png", dpi=DPI, facecolor="white")
    write_file(out_png, stream.getvalue())
    return out_png


def _reconstruction_rows(run: RunRecord) -> list[Row]:
    if not run.pictures:
        return []
    arrays = run.pictures[-1][1]
    pairs = range(min(PAIRS, len(arrays["input"])))
    columns = (("input", "frame"), ("visible", "visible cells"), ("online", "prediction"))
    groups = [[arrays[key][i, 0] for key, _ in columns] for i in pairs]
    heading = "Pretraining on unlabelled video: most of each frame is hidden and has to be predicted"
    return [Row("reconstruction", groups, heading, [text for _ in pairs for _, text in columns])]


def _propagation_rows(run: RunRecord, scores: Scores | None) -> list[Row]:
    if scores is None or not run.propagations:
        return []
    clips = [clip for clip in scores.clips if clip in run.propagations][:CLIPS]
    shown = [0, *(i for i, row in enumerate(scores.rows) if row.source == "random")][:2]
    names = {0: "pretrained"}
    rows = []
    for row in shown:
        groups = [_frames(run.propagations[clip], f"prediction_{row}") for clip in clips]
        score = number_text(scores.rows[row].scores[scores.headline], 2)
        label = f"{names.get(row, 'random weights')}\n{scores.title} {score}"
        if all(groups):
            rows.append(Row(label, groups))
    if not rows:
        return []
    heading = "Its frozen features then carry the mask of a clip's first frame through the clip"
    captions = [text for clip in clips for text in _frame_captions(run.propagations[clip])]
    rows[0] = Row(rows[0].name, rows[0].groups, heading)
    rows[-1] = Row(rows[-1].name, rows[-1].groups, rows[-1].heading, captions)
    return rows


def _chosen(arrays: Arrays) -> np.ndarray:
    return np.unique(np.linspace(0, len(arrays["frames"]) - 1, FRAMES).round().astype(int))


def _frames(arrays: Arrays, key: str) -> list[np.ndarray]:
    drawn = drawn_frames(arrays, key)
    return [drawn[i] for i in _chosen(arrays)] if drawn else []


def _frame_captions(arrays: Arrays) -> list[str]:
    ids = [int(arrays["frame_ids"][i]) for i in _chosen(arrays)]
    return [f"frame {at}" + (", given" if place == 0 else "") for place, at in enumerate(ids)]


def _draw(rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    height = sum(row.height for row in rows) + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, height))
    top = height - MARGIN
    for row in rows:
        _draw_row(figure, row, top, height)
        top -= row.height
    return figure


def _draw_row(figure: Figure, row: Row, top: float, height: float) -> None:
    def text(x: float, y: float, words: str, **style: Any) -> None:
        figure.text(x / WIDTH, y / height, words, **style)

    if row.heading:
        text(MARGIN, top - 0.55 * HEAD, row.heading, fontsize=13, weight="bold", color=INK, va="center")
        top -= HEAD
    text(MARGIN, top - row.unit / 2, row.name, fontsize=10.5, color=INK, va="center", linespacing=1.5)
    left, captions = MARGIN + LABELS, iter(row.captions)
    for group in row.groups:
        for picture in group:
            width = row.unit * picture.shape[1] / picture.shape[0]
            box = (left / WIDTH, (top - row.unit) / height, width / WIDTH, row.unit / height)
            figure.add_axes(box).set_axis_off()
            figure.axes[-1].imshow(picture, aspect="auto", interpolation="lanczos")
            text(left, top - row.unit - 0.06, next(captions, ""), fontsize=8.5, color=MUTED, va="top")
            left += width + GAP
        left += GROUP_GAP - GAP
