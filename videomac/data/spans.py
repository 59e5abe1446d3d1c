"""Which rows of the plan each rank takes, micro-step by micro-step: arithmetic alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from videomac.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Span:
    """Rows of one micro-batch: `count` rows of the plan from g on, then pad rows up to `micro_batch`."""

    g: int
    count: int
    micro_batch: int

    @classmethod
    def from_block(cls, block: Mapping[str, np.ndarray]) -> list[Span]:
        """Return the spans of a block of Ray Data: one column for each field."""
        columns = (block[field.name].tolist() for field in dataclasses.fields(cls))
        return [cls(*values) for values in zip(*columns, strict=True)]


def micro_steps(
    start_g: int, stop_g: int, *, batch_size: int, micro_batch: int, pairs_per_open: int, rank: int, world: int
) -> list[Span]:
    """Return the spans of one rank in order: equally many for every rank.

    Raises:
        ConfigError: `start_g` splits an opening of a clip.
    """
    if start_g % pairs_per_open:
        raise ConfigError(
            f"data.pairs_per_open: {pairs_per_open} does not divide the data position {start_g} of the "
            "checkpoint; resume with the value that the run started with"
        )
    spans = []
    for step_g in range(start_g, stop_g, batch_size):
        rows = min(batch_size, stop_g - step_g)
        for micro in range(-(-batch_size // (world * micro_batch))):
            offset = (micro * world + rank) * micro_batch
            spans.append(Span(step_g + offset, min(max(rows - offset, 0), micro_batch), micro_batch))
    return spans
