"""Decoded rows as the networks take them.

Shape letters: b rows, 2 frames of a pair (the earlier first), h w pixels, 3 colours, k visible cells.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

# Pixels of a batch may be a read-only view of Ray's object store; nobody writes to them.
warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)


@dataclasses.dataclass
class Batch:
    """Rows of the plan, decoded; all tensors are on one device."""

    frames_b2hwc: UInt8[Tensor, "b 2 h w 3"]
    """Pixels of both frames, red green blue."""
    cells_bk: Int64[Tensor, "b k"]
    """Visible cells of both frames, ascending."""
    weight_b: Float32[Tensor, " b"]
    """1 for a good row, 0 for a bad one or a pad row."""
    g_b: Int64[Tensor, " b"]
    """Number of the plan's row; -1 for a pad row."""
    code_b: Int64[Tensor, " b"]
    """`status.Code`: 0 for good rows and pad rows."""
    seed_b: Int64[Tensor, " b"]
    """Seed of the row's own drop path, not negative."""
    keys: list[str]
    """Clip of each row; empty for a pad row."""

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def collate(cls, columns: Mapping[str, np.ndarray], pin_memory: bool = False) -> Batch:
        """Make a batch from columns of equal length: `frames`, `cells`, `g`, `code`, `seed` and `key`.

        Pixels are copied to pinned memory, or not at all: they may be a read-only view of Ray's object store, which
        keeps them as long as the view lives.
        """
        frames = torch.from_numpy(columns["frames"])
        g, code = _int64(columns["g"]), _int64(columns["code"])
        return cls(
            frames_b2hwc=frames.pin_memory() if pin_memory else frames,
            cells_bk=_int64(columns["cells"]),
            weight_b=((g >= 0) & (code == 0)).float(),
            g_b=g,
            code_b=code,
            seed_b=_int64(columns["seed"]),
            keys=[str(key) for key in columns["key"]],
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return the same rows on another device; from pinned memory the copies run in parallel with computation."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return dataclasses.replace(self, **moved)


def _int64(column: np.ndarray) -> Int64[Tensor, "b ..."]:
    """Return a copy of a column as a tensor of whole numbers."""
    return torch.from_numpy(np.array(column, np.int64))
