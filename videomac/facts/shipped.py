"""Where to find the files that ship with videomac, configs and samples, in a checkout or an installed wheel."""

from __future__ import annotations

from pathlib import Path

from videomac.errors import ConfigError
from videomac.facts.names import did_you_mean

PACKAGE = Path(__file__).resolve().parent.parent
SAMPLES = PACKAGE / "samples"
"""Clips and DAVIS sequences of the quickstart, with ATTRIBUTION.md."""


def config_folder() -> Path:
    """Return the folder of shipped configs: `configs/` of the checkout, or its copy inside the wheel."""
    inside_wheel = PACKAGE / "_configs"
    return inside_wheel if inside_wheel.is_dir() else PACKAGE.parent / "configs"


def locate(path: str) -> str:
    """Return `path` if it exists, else the shipped config of that name (a leading `configs/` may be left out).

    Raises:
        ConfigError: there is no such file; the message lists the shipped configs.
    """
    relative = path.removeprefix("configs/")
    for candidate in (Path(path), config_folder() / relative):
        if candidate.is_file():
            return str(candidate)
    shipped = sorted(str(p.relative_to(config_folder())) for p in config_folder().rglob("*.yaml"))
    names = ["configs/" + name for name in shipped]
    raise ConfigError(f"{path}: no such file{did_you_mean(path, names)}; shipped configs: {', '.join(names)}")


def expand(path: str) -> str:
    """Return `samples://NAME` as a path to the shipped samples, and anything else unchanged."""
    if path.startswith("samples://"):
        return str(SAMPLES / path.removeprefix("samples://"))
    return path
