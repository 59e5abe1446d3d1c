"""The C library's heap in a process that trains on CPU."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Memory that a step frees stays with the process for the next one, where the C library is glibc.

    By default much of it goes back to the system after every step and comes again page by page, each zeroed: 6 to 10 %
    of a step on CPU (docs/log.md). The peak stays what it was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TOP_PAD, 1 << 26)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
