"""The C library's heap in a process that trains on CPU."""

from __future__ import annotations

FREED_MEMORY_STAYS = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}
"""Environment that glibc reads when a process starts (mallopt(3)): memory that a step frees stays with the process for
the next one. By default much of it goes back to the system after every step and comes again page by page, each zeroed:
6 to 10 % of a step on CPU (docs/log.md). The peak stays what it was."""
