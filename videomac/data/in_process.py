"""The data path without Ray: batches of plan rows in this process, for tests, benchmarks and the held-out loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from videomac.data.batch import Batch
from videomac.data.plan import Plan
from videomac.data.recipe import Recipe
from videomac.data.row_maker import RowMaker
from videomac.data.spans import Span


def iterate(
    plan: Plan,
    recipe: Recipe,
    start: int,
    stop: int,
    batch_rows: int,
    known_bad: Mapping[str, int] | None = None,
    isolated: bool = False,
) -> Iterator[Batch]:
    """Yield rows start <= g < stop of the plan, `batch_rows` at a time; pad rows complete the last batch.

    `isolated` decodes in a child process, so that a clip that crashes the decoder does not end this one.
    """
    maker = RowMaker(plan, recipe, known_bad, isolated)
    try:
        for g in range(start, stop, batch_rows):
            span = Span(g, min(batch_rows, stop - g), batch_rows)
            yield from (Batch.collate(columns) for columns in maker.batches([span]))
    finally:
        maker.close()
