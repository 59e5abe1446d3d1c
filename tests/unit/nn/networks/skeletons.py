"""Networks of any size for tests that look at names and shapes alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch

FILLS = ("uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_")
"""What draws the first values: without values to draw, PyTorch would still work out the shape of each."""


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Build networks whose parameters have a shape and no values."""
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        for name in FILLS:
            patch.setattr(torch.Tensor, name, lambda tensor, *args, **kwargs: tensor)
        yield
