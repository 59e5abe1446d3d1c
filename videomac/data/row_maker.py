"""Spans of the plan become columns of decoded rows: read ahead, decode in a child process, fill in what is bad.

Columns of b rows: `frames` uint8 (b, 2, h, w, 3), `cells` int64 (b, k), `g`, `code`, `seed` int64 (b,), `key` (b,)
strings, `stats` int64 (b, len(STATS)): sums of this batch in row 0, zeros below.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from videomac.data import clip
from videomac.data.pairs import Recipe, cells_and_seed, make_pairs
from videomac.data.plan import Plan, PlanRow
from videomac.data.reader import Reader
from videomac.data.sample import Sample
from videomac.data.spans import Span
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Child
from videomac.storage.entries import Content

STATS = ("clips", "bytes", "requests", "retries", "wait_read_us", "decode_us", "resize_us", "ship_us")
"""Clips opened, bytes of them, requests and retries of the storage; microseconds waited for bytes, spent decoding,
resizing, and between the processes."""
DECODER = "videomac.data.decode_worker:decoder"

Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Opening:
    """Rows that are taken from one clip, opened once; `code` says why it must not even be read."""

    sample: Sample
    rows: list[PlanRow]
    code: Code


class RowMaker:
    """Decodes spans in order. `isolated`: in a child process, as training must; else in this one, for tests and loops
    that may die with a clip."""

    def __init__(
        self,
        plan: Plan,
        recipe: Recipe,
        verdicts: Mapping[str, int] | None = None,
        isolated: bool = True,
        target: str = DECODER,
    ) -> None:
        clip.decoder_version(recipe.data.decoder)  # before any row: a missing library must not look like bad clips
        self._plan, self._storage, self._recipe = plan, plan.storage, recipe
        self._verdicts = {key: Code(code) for key, code in (verdicts or {}).items()}
        self._pairs_per_open = recipe.data.pairs_per_open
        self._reader = Reader(self._storage, recipe.data.read_ahead_mb << 20)
        setup = {"data": recipe.data.model_dump(mode="json"), **_plain(recipe)}
        self._child = Child(target, setup) if isolated else None

    def batches(self, spans: Sequence[Span]) -> Iterator[Columns]:
        """The columns of each span.

        Raises:
            StorageError: bytes of a clip stay wrong or away past all retries.
        """
        opened = [self._openings(span) for span in spans]
        contents = self._reader.contents([o.sample for openings in opened for o in openings if o.code is Code.GOOD])
        for span, openings in zip(spans, opened, strict=True):
            before = self._storage.counts.copy()
            columns = self._blank(span)
            stats: dict[str, int] = dict.fromkeys(STATS, 0)
            place = 0
            for opening in openings:
                here = slice(place, place + len(opening.rows))
                self._fill(columns, here, opening)
                columns["code"][here] = self._decode(opening, contents, columns["frames"][here], stats)
                place = here.stop
            moved = self._storage.counts - before
            stats.update(requests=moved["requests"], retries=moved["retries"])
            columns["stats"][0] = list(stats.values())
            yield columns

    def _openings(self, span: Span) -> list[Opening]:
        """The span's rows, those that share an opened clip together."""
        rows = self._plan.rows(span.g, span.g + span.count)
        groups = [list(group) for _, group in itertools.groupby(rows, lambda row: row.g // self._pairs_per_open)]
        return [Opening(group[0].sample, group, self._known_code(group[0].sample)) for group in groups]

    def _known_code(self, sample: Sample) -> Code:
        """What is known of a clip without reading it."""
        too_large = sample.size > self._recipe.data.bounds.max_bytes
        return self._verdicts.get(sample.key, Code.TOO_MANY_BYTES if too_large else Code.GOOD)

    def _blank(self, span: Span) -> Columns:
        """Pad rows, to be overwritten by the plan's."""
        b, (h, w) = span.size, self._recipe.data.image_size
        cells = np.tile(np.arange(self._recipe.keep), (b, 1))
        return {
            "frames": np.zeros((b, 2, h, w, 3), np.uint8),
            "cells": cells,
            "g": np.full(b, -1, np.int64),
            "code": np.zeros(b, np.int64),
            "seed": np.zeros(b, np.int64),
            "key": np.array([""] * b, object),
            "stats": np.zeros((b, len(STATS)), np.int64),
        }

    def _fill(self, columns: Columns, here: slice, opening: Opening) -> None:
        """Writes what is known of the rows of one opening before they are decoded."""
        key = opening.sample.key
        drawn = [cells_and_seed(self._recipe, key, row.slot) for row in opening.rows]
        columns["g"][here] = [row.g for row in opening.rows]
        columns["key"][here] = key
        columns["cells"][here] = np.stack([cells for cells, _ in drawn])
        columns["seed"][here] = [seed for _, seed in drawn]

    def _decode(
        self, opening: Opening, contents: Iterator[Content], frames_n2hw3: np.ndarray, stats: dict[str, int]
    ) -> Code | np.ndarray:
        """Writes the pixels of one opening into zeros; returns the rows' codes."""
        if opening.code is not Code.GOOD:
            return opening.code
        begin = time.perf_counter()
        content = next(contents)
        read = time.perf_counter()
        code, decode_s, resize_s = self._decoded(opening, content, frames_n2hw3)
        total_s = time.perf_counter() - read
        stats["clips"] += 1
        stats["bytes"] += opening.sample.size
        stats["wait_read_us"] += round(1e6 * (read - begin))
        stats["decode_us"] += round(1e6 * decode_s)
        stats["resize_us"] += round(1e6 * resize_s)
        stats["ship_us"] += round(1e6 * (total_s - decode_s - resize_s))
        return code

    def _decoded(
        self, opening: Opening, content: Content, frames_n2hw3: np.ndarray
    ) -> tuple[Code | np.ndarray, float, float]:
        """Codes of the rows, and the seconds of decoding and of resizing."""
        sample, slots = opening.sample, [row.slot for row in opening.rows]
        if sample.key in self._verdicts:  # found since its bytes were asked for
            return self._verdicts[sample.key], 0.0, 0.0
        if self._child is None:
            pairs = make_pairs(self._recipe, sample, content, slots)
            frames_n2hw3[:] = pairs.frames_n2hw3
            return pairs.code_n, pairs.decode_s, pairs.resize_s
        header = {
            "key": sample.key,
            "sample": vars(sample),
            "slots": [tuple(vars(slot).values()) for slot in slots],
        }
        bound_s, pixels = self._recipe.data.bounds.decode_timeout_s, frames_n2hw3.data.cast("B")
        try:
            answer, _ = self._child.call(header, content, bound_s, into=pixels)
        except BadClip as bad:
            frames_n2hw3[:] = 0  # the child may have died in mid-answer
            self._verdicts[sample.key] = bad.code
            return bad.code, 0.0, 0.0
        return np.array(answer["codes"], np.int64), answer["decode_s"], answer["resize_s"]

    def close(self) -> None:
        """Ends the child process."""
        if self._child is not None:
            self._child.close()


def _plain(recipe: Recipe) -> dict[str, int]:
    return {"seed": recipe.seed, "cells": recipe.cells, "keep": recipe.keep}
