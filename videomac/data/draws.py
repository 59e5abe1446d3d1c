"""Every random choice of the data path, from counter-based generators keyed by what they are for.

Nothing random is stored, and no generator lives longer than one draw: the same seed, epoch, key and slot give the same
pair on any worker, in any order, after any restart.
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Int64


def _digest(seed: int, epoch: int, key: str, slot: int, purpose: str, attempt: int) -> bytes:
    # The key comes last and `purpose` is one of our own words, so two different draws never share a text.
    text = f"{seed}/{epoch}/{slot}/{attempt}/{purpose}/{key}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def generator(seed: int, epoch: int, key: str, slot: int, purpose: str, attempt: int = 0) -> np.random.Generator:
    """Return a Philox generator for one purpose (`time`, `crop`, `flip`, `mask`, ...) of one slot of one clip."""
    digest = _digest(seed, epoch, key, slot, purpose, attempt)
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def seed64(seed: int, epoch: int, key: str, slot: int, purpose: str) -> int:
    """Return 63 bits as a non-negative integer: the seed of a generator that lives elsewhere (drop path)."""
    return int.from_bytes(_digest(seed, epoch, key, slot, purpose, 0)[:8], "little") >> 1


def visible_cells(rng: np.random.Generator, cell_count: int, visible_count: int) -> Int64[np.ndarray, " k"]:
    """Draw `visible_count` of the cells 0, ..., cell_count - 1 uniformly without repetition, in ascending order."""
    return np.sort(rng.permutation(cell_count)[:visible_count])
