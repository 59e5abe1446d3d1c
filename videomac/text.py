"""How numbers, durations and origins are written for people, on the screen and on the pages: one rule for each."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Protocol, TypeGuard

DASH = "\u2013"
"""Stands for a missing value."""


class Origin(Protocol):
    """What a result was made with: the fields that a record of results has for this."""

    @property
    def config_hash(self) -> str | None:
        """Hash of the resolved configuration."""
        ...

    @property
    def commit(self) -> str | None:
        """Git commit of the code."""
        ...

    @property
    def machine(self) -> str | None:
        """Cores, processor, system and Python."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries."""
        ...


def clock(seconds: float) -> str:
    """Return a running time as `0:42`, `3:05` or `2:05:00`, for lines that count on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration_text(seconds: float | None) -> str:
    """Return a duration as `0.42 s`, `42 s`, `3 min 05 s` or `2 h 05 min`; None is a dash."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(count: int, noun: str) -> str:
    """Return `1 clip` or `2 clips`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def number_text(value: object, digits: int | None = None) -> str:
    """Return a number with `digits` decimals, thin spaces between thousands and a true minus sign.

    Without `digits` an integer keeps all its digits and any other number gets four significant ones. None is a dash;
    any other value is its own text.
    """
    if value is None:
        return DASH
    if not is_number(value):
        return str(value)
    if digits is None:
        text = f"{value:,}" if isinstance(value, numbers.Integral) else f"{value:,.4g}"
    else:
        text = f"{value:,.{digits}f}"
    return text.replace(",", "\u202f").replace("-", "\u2212")


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a real number of Python's or NumPy's; a bool is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def origin_text(made: Origin) -> str:
    """Return what a result was made with in one line; what is not known is left out."""
    known = (("config hash", made.config_hash), ("commit", made.commit), ("machine", made.machine))
    parts = [f"{name} {value}" for name, value in known if value]
    return " · ".join(parts + [f"{name} {version}" for name, version in made.versions.items()])
