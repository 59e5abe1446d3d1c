"""What a result was made with: commit, versions, machine. Every checkpoint, export and result holds it."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from typing import TypedDict

from videomac.facts.shipped import PACKAGE

PACKAGES = ("videomac", "torch", "timm", "ray", "av", "pyarrow", "numpy")


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the checkout that runs (`+` for uncommitted changes); None for an installed wheel."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that a result depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Provenance(TypedDict):
    """Commit, versions and machine, as plain JSON values."""

    commit: str | None
    versions: dict[str, str]
    machine: str


def provenance() -> Provenance:
    """Return what the results of this process are made with."""
    machine = f"{os.cpu_count()} x {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    return {"commit": git_commit(), "versions": versions(), "machine": machine}
