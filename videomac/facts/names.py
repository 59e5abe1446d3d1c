"""What to say of a name that is not known: the one place that guesses what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'NAME'?` for the known name closest to `given`, or nothing if none is close."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[close[0]]!r}?" if close else ""


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return `unknown WHAT 'GIVEN'; did you mean 'NAME'? (known: ...)`: one line for an error message."""
    names = list(known)
    return f"unknown {what} {given!r}{did_you_mean(given, names)} (known: {', '.join(names)})"
