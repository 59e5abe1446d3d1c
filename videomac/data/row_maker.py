"""Turn spans of the plan into columns of decoded rows: read ahead, decode in a child process, mark what is bad.

Columns of b rows: `frames` uint8 (b, 2, h, w, 3), `cells` int64 (b, k), `g`, `code`, `seed` int64 (b,), `key` (b,)
strings, `stats` int64 (b, len(STATS)): sums of this batch in row 0, zeros below.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from videomac.data.decode_worker import DECODER
from videomac.data.open_clip import decoder_version
from videomac.data.pairs import cells_and_seed, make_pairs
from videomac.data.plan import Opening, OpenPlan, Plan
from videomac.data.reader import Reader
from videomac.data.recipe import Recipe
from videomac.data.spans import Span
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Child
from videomac.errors import DamagedFileError
from videomac.records.decoding import PairsAnswer, PairsRequest
from videomac.records.shards import Sample
from videomac.storage.entries import Content

STATS = ("clips", "bytes", "requests", "retries", "wait_read_us", "decode_us", "resize_us", "ship_us")
"""Clips opened and their bytes; requests and retries of the storage; microseconds spent waiting for bytes, decoding,
resizing, and passing pixels between the processes."""

Columns = dict[str, np.ndarray]
"""By name, as listed above; each has its own type and shape, and the first dimension b."""


class RowMaker:
    """Decodes spans in order.

    Args:
        plan: the rows.
        recipe: what their pixels depend on.
        known_bad: codes of clips that are known to take the decoder down, by key.
        isolated: decode in a child process, as training must; else in this one, for tests and for loops that may die
            of a clip.
        target: what the child process runs.
    """

    def __init__(
        self,
        plan: Plan,
        recipe: Recipe,
        known_bad: Mapping[str, int] | None = None,
        isolated: bool = True,
        target: str = DECODER,
    ) -> None:
        decoder_version(recipe.decoder)  # before any row: a missing library must not look like bad clips
        self._plan, self._recipe = OpenPlan(plan), recipe
        self.storage = self._plan.storage
        self._known_bad = {key: Code(code) for key, code in (known_bad or {}).items()}
        self._reader = Reader(self.storage, plan.data.read_ahead_mb << 20)
        self._child = Child(target, recipe.to_json(), recipe.bounds) if isolated else None

    def batches(self, spans: Sequence[Span]) -> Iterator[Columns]:
        """Yield the columns of each span.

        Raises:
            StorageError: a clip cannot be read after all retries.
        """
        before = self.storage.counts.copy()  # looking rows up may take requests too
        planned = [self._openings(span) for span in spans]
        contents = self._reader.contents([o.sample for some in planned for o, code in some if code is Code.GOOD])
        for span, openings in zip(spans, planned, strict=True):
            columns = self._blank(span)
            stats: dict[str, int] = dict.fromkeys(STATS, 0)
            place = 0
            for opening, known_code in openings:
                here = slice(place, place + len(opening.slots))
                self._fill(columns, here, opening)
                code = known_code
                if code is Code.GOOD:
                    code = self._decode(opening, contents, columns["frames"][here], stats)
                columns["code"][here] = code
                place = here.stop
            now = self.storage.counts.copy()
            moved, before = now - before, now
            stats.update(requests=moved["requests"], retries=moved["retries"])
            columns["stats"][0] = list(stats.values())
            yield columns

    def _openings(self, span: Span) -> list[tuple[Opening, Code]]:
        """Return the span's rows by opened clip; a code other than GOOD says why the clip is not even read."""
        openings = self._plan.openings(span.g, span.g + span.count)
        return [(opening, self._known_code(opening.sample)) for opening in openings]

    def _known_code(self, sample: Sample) -> Code:
        """Return what is known of a clip without reading it."""
        too_large = sample.size_bytes > self._recipe.bounds.max_bytes
        return self._known_bad.get(sample.key, Code.TOO_MANY_BYTES if too_large else Code.GOOD)

    def _blank(self, span: Span) -> Columns:
        """Return pad rows, which the plan's rows overwrite."""
        b, (h, w) = span.micro_batch, self._recipe.image_size
        cells = np.tile(np.arange(self._recipe.visible_count), (b, 1))
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
        """Write what is known of the rows of one opening before they are decoded."""
        key = opening.sample.key
        drawn = [cells_and_seed(self._recipe, key, slot) for slot in opening.slots]
        columns["g"][here] = range(opening.g, opening.g + len(opening.slots))
        columns["key"][here] = key
        columns["cells"][here] = np.stack([cells for cells, _ in drawn])
        columns["seed"][here] = [seed for _, seed in drawn]

    def _decode(
        self,
        opening: Opening,
        contents: Iterator[Content | DamagedFileError],
        frames_n2hw3: UInt8[np.ndarray, "n 2 h w 3"],
        stats: dict[str, int],
    ) -> Code | Int64[np.ndarray, " n"]:
        """Write the pixels of one opening over the zeros; return the codes of its rows."""
        start = time.perf_counter()
        content = next(contents)
        if isinstance(content, DamagedFileError):
            return Code.DAMAGED
        read = time.perf_counter()
        code, decode_s, resize_s = self._decoded(opening, content, frames_n2hw3)
        total_s = time.perf_counter() - read
        stats["clips"] += 1
        stats["bytes"] += opening.sample.size_bytes
        stats["wait_read_us"] += round(1e6 * (read - start))
        stats["decode_us"] += round(1e6 * decode_s)
        stats["resize_us"] += round(1e6 * resize_s)
        stats["ship_us"] += round(1e6 * (total_s - decode_s - resize_s))
        return code

    def _decoded(
        self, opening: Opening, content: Content, frames_n2hw3: UInt8[np.ndarray, "n 2 h w 3"]
    ) -> tuple[Code | Int64[np.ndarray, " n"], float, float]:
        """Return the codes of the rows, and the seconds spent decoding and resizing."""
        sample, slots = opening.sample, opening.slots
        if sample.key in self._known_bad:  # found since its bytes were requested
            return self._known_bad[sample.key], 0.0, 0.0
        if self._child is None:
            pairs = make_pairs(self._recipe, sample, content, slots)
            frames_n2hw3[:] = pairs.frames_n2hw3
            return pairs.code_n, pairs.decode_s, pairs.resize_s
        request, pixels = PairsRequest(sample=sample, slots=tuple(slots)), frames_n2hw3.data.cast("B")
        try:
            answer, _ = self._child.call(request, PairsAnswer, content, into=pixels, what=sample.key)
        except BadClip as bad:
            frames_n2hw3[:] = 0  # the child may have died while it answered
            self._known_bad[sample.key] = bad.code
            return bad.code, 0.0, 0.0
        return np.array(answer.codes, np.int64), answer.decode_s, answer.resize_s

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.close()
