"""What the operating system enforces on a process that decodes: memory, size of files, no core dumps."""

from __future__ import annotations

import contextlib
import errno
import resource
import tempfile
from pathlib import Path

MIB = 1 << 20
PROC = Path("/proc")
STRICT_OVERCOMMIT = "2"
"""`vm.overcommit_memory`: the kernel refuses memory that it could not back, whatever a process's own limit."""


DISK_OR_DESCRIPTORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
"""No bytes of a clip cause these, whoever reports them."""
MACHINES_TROUBLE = DISK_OR_DESCRIPTORS | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOMEM}
"""Faults of the machine when the operating system reports them. FFmpeg uses some of the same numbers for odd bytes."""


def trouble_text(error: OSError) -> str:
    """Return one line on the machine's trouble: where, what, and what to do."""
    place = error.filename or tempfile.gettempdir()
    advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
    return (
        f"{place}: {(error.strerror or str(error)).lower()}; {advice}, or set TMPDIR to another folder if temporary "
        "files go there; the same command goes on where it stopped"
    )


def limit_files(max_file_mb: int) -> None:
    """Bound every file that this process writes (larger: OSError EFBIG), and write no core dumps."""
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_FSIZE, max_file_mb * MIB)


def limit_memory(max_memory_mb: int) -> None:
    """Bound what this process takes from now on, beyond what it has already (larger: MemoryError).

    The limit is on address space, of which libraries take a lot (torch with CUDA: several GB) without using it: hence
    beyond what is there. Where the system doesn't tell how much that is (not Linux), nothing is bounded.
    """
    held = _address_space()
    if held is not None:
        _set(resource.RLIMIT_AS, held + max_memory_mb * MIB)


def is_machine_short() -> bool:
    """Return whether a refused allocation is the machine's doing, because it has less left than this process's limit.

    That takes strict accounting of memory; elsewhere a full machine kills a process, and refuses it nothing.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return True  # nothing of ours refused it
    try:
        strict = (PROC / "sys/vm/overcommit_memory").read_text().strip() == STRICT_OVERCOMMIT
        if not strict:
            return False
        lines = dict(line.split(":", 1) for line in (PROC / "meminfo").read_text().splitlines())
        left_kb = int(lines["CommitLimit"].split()[0]) - int(lines["Committed_AS"].split()[0])
    except (OSError, KeyError, ValueError):
        return False
    return left_kb * 1024 < limit - (_address_space() or 0)


def _set(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS knows some limits by name alone
        resource.setrlimit(which, (bounded, bounded))


def _address_space() -> int | None:
    try:
        return int((PROC / "self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None
