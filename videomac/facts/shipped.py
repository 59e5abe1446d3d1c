"""Where files that ship with videomac lie: configs and samples, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from videomac.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent
SAMPLES = PACKAGE / "samples"
"""Clips and DAVIS sequences of the quickstart, with ATTRIBUTION.md."""


def config_folder() -> Path:
    """The folder of shipped configs: `configs/` of the checkout, or its copy inside the wheel."""
    inside_wheel = PACKAGE / "_configs"
    return inside_wheel if inside_wheel.is_dir() else PACKAGE.parent / "configs"


def locate(path: str) -> str:
    """`path` if it exists, else the shipped config of that name (`configs/` in front may be left out).

    Raises:
        ConfigError: no such file; the message lists the shipped configs.
    """
    relative = path.removeprefix("configs/")
    for candidate in (Path(path), config_folder() / relative):
        if candidate.is_file():
            return str(candidate)
    shipped = sorted(str(p.relative_to(config_folder())) for p in config_folder().rglob("*.yaml"))
    raise ConfigError(f"{path}: no such file; shipped configs: {', '.join('configs/' + s for s in shipped)}")


def expand(path: str) -> str:
    """`samples://NAME` as a path into the shipped samples; anything else as it is."""
    if path.startswith("samples://"):
        return str(SAMPLES / path.removeprefix("samples://"))
    return path
