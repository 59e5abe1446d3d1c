"""Named arrays as the bytes of an npz file, and back; nothing is pickled."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the arrays as a compressed npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
