"""What Ray Data's actors run. A module of its own because it needs no torch: half the memory, faster to start."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterator, Mapping

import numpy as np

from videomac.data.row_maker import Columns, RowMaker
from videomac.data.spans import Span
from videomac.distributed.data.decoding import Decoding


class DecodeActor:
    """Turns a block of spans into the columns of their rows, one span at a time."""

    def __init__(self, decoding: Decoding, known_bad: Mapping[str, int]) -> None:
        self._maker = RowMaker(decoding.plan, decoding.recipe, known_bad, target=decoding.target)

    def __call__(self, block: Mapping[str, np.ndarray]) -> Iterator[Columns]:
        """Yield the columns of each span of the block, in order."""
        for columns in ahead(self._maker.batches(Span.from_block(block))):
            yield columns | {"pid": np.full(len(columns["g"]), os.getpid())}


def ahead(columns: Iterator[Columns]) -> Iterator[Columns]:
    """Yield the same columns, each made while Ray takes over the one before: the decoding process never pauses."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, columns, None)
        while (current := following.result()) is not None:
            following = pool.submit(next, columns, None)
            yield current
