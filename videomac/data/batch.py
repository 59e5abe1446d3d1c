"""Rows as the networks take them.

Shape letters: b rows, 2 frames of a pair (the earlier first), h w pixels, c colours, k visible cells.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Pixels of a batch are read only, by everyone.
warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)


@dataclasses.dataclass
class Batch:
    """Rows of the plan, decoded; all tensors on one device."""

    frames_b2hwc: Tensor
    """uint8."""
    cells_bk: Tensor
    """int64, the visible cells of both frames, ascending."""
    weight_b: Tensor
    """float32: 1 for a good row, 0 for a bad one or a pad row."""
    g_b: Tensor
    """int64 number of the plan's row; -1 for a pad row."""
    code_b: Tensor
    """int64 `codes.Code`: 0 for good rows and pad rows."""
    seed_b: Tensor
    """int64 >= 0: seed of the row's own drop path."""
    keys: list[str]
    """Clip of each row; empty for a pad row."""

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def collate(cls, columns: Mapping[str, Any], pin_memory: bool = False) -> Batch:
        """From columns of equal length (`frames`, `cells`, `g`, `code`, `seed` as arrays, `key` as strings).

        Pixels are copied to pinned memory, or not at all: they may be a read-only view of Ray's object store, which
        keeps them as long as the view lives.
        """
        frames = torch.from_numpy(columns["frames"])
        if pin_memory:
            frames = frames.pin_memory()
        g, code = (torch.from_numpy(np.array(columns[name], np.int64)) for name in ("g", "code"))
        return cls(
            frames_b2hwc=frames,
            cells_bk=torch.from_numpy(np.array(columns["cells"], np.int64)),
            weight_b=((g >= 0) & (code == 0)).float(),
            g_b=g,
            code_b=code,
            seed_b=torch.from_numpy(np.array(columns["seed"], np.int64)),
            keys=[str(key) for key in columns["key"]],
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same rows on another device; from pinned memory the copies run beside computation."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return dataclasses.replace(self, **moved)
