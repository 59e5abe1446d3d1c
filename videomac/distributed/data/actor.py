"""What Ray Data's actors run. A module of its own, because it needs no torch: half the memory, faster to start."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterator, Mapping

import numpy as np

from videomac.data.pairs import Recipe
from videomac.data.plan import Plan
from videomac.data.row_maker import Columns, RowMaker
from videomac.data.spans import Span


class DecodeActor:
    """Turns a block of spans into their columns, one at a time."""

    def __init__(self, plan: Plan, recipe: Recipe, verdicts: Mapping[str, int], target: str) -> None:
        self._maker = RowMaker(plan, recipe, verdicts, target=target)

    def __call__(self, block: Mapping[str, np.ndarray]) -> Iterator[Columns]:
        """Columns of each span of the block, in order."""
        spans = [
            Span(int(g), int(count), int(size))
            for g, count, size in zip(block["g"], block["count"], block["size"], strict=True)
        ]
        for columns in ahead(self._maker.batches(spans)):
            yield columns | {"pid": np.full(len(columns["g"]), os.getpid())}


def ahead(columns: Iterator[Columns]) -> Iterator[Columns]:
    """The same, each made while Ray takes over the one before: the decoding process has no pause."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, columns, None)
        while (current := following.result()) is not None:
            following = pool.submit(next, columns, None)
            yield current
