"""Ascending times for frames that come in the order of presentation, whatever time stamps they carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from videomac.facts.media import Treatment

LOOK_AHEAD = 2
"""Times start again where so many stamps lie before the latest one seen, and the first of them also before the last but
one; else a stamp is disordered."""
_Stamp = tuple[int, int]
"""Number and time stamp of a frame."""


def ascending(stamps: Sequence[int | None], step: float) -> tuple[Float64[np.ndarray, " t"], frozenset[Treatment]]:
    """Return a time for each frame, in the unit of the stamps, and what was done to the stamps.

    Missing, equal and disordered ones are spread between their neighbours. Where times start again, as in files that
    were joined byte by byte, they are carried on. `step` is the nominal distance of frames, for want of a better one.
    """
    pieces = _pieces([(number, stamp) for number, stamp in enumerate(stamps) if stamp is not None])
    kept = [_ascending_only(piece) for piece in pieces]
    step = _usual_step(kept) or step
    bounds = [0, *(piece[0][0] for piece in pieces[1:]), len(stamps)]
    times: list[Float64[np.ndarray, " n"]] = []
    for piece, first, end in zip(kept or [[]], bounds, bounds[1:], strict=False):
        filled = _filled(piece, first, end, step)
        times.append(filled if not times else filled - filled[0] + times[-1][-1] + step)
    done = {
        Treatment.TIMES_REPAIRED: sum(map(len, kept)) < len(stamps),
        Treatment.TIMES_JOINED: len(kept) > 1,
    }
    return np.concatenate(times), frozenset(treatment for treatment, is_done in done.items() if is_done)


def _pieces(known: list[_Stamp]) -> list[list[_Stamp]]:
    """Return the stamps, cut where they start again."""
    pieces: list[list[_Stamp]] = []
    before, latest = 0, 0
    for place, (number, stamp) in enumerate(known):
        ahead = known[place : place + LOOK_AHEAD]
        if not pieces or (stamp < before and all(later < latest for _, later in ahead)):
            pieces.append([])
            before = latest = stamp
        pieces[-1].append((number, stamp))
        if stamp > latest:
            before, latest = latest, stamp
    return pieces


def _ascending_only(piece: list[_Stamp]) -> list[_Stamp]:
    kept: list[_Stamp] = []
    for number, stamp in piece:
        if not kept or stamp > kept[-1][1]:
            kept.append((number, stamp))
    return kept


def _usual_step(pieces: list[list[_Stamp]]) -> float:
    """Return the median distance of frames; 0 if no two stamps ascend."""
    steps = [np.diff([t for _, t in piece]) / np.diff([n for n, _ in piece]) for piece in pieces if len(piece) > 1]
    return float(np.median(np.concatenate(steps))) if steps else 0.0


def _filled(piece: list[_Stamp], first: int, end: int, step: float) -> Float64[np.ndarray, " n"]:
    """Return times of the frames from `first` to `end`: between stamps they are interpolated, beyond them a step
    apart."""
    numbers = np.arange(first, end)
    if not piece:
        return (numbers - first) * step
    at, stamps = np.array([n for n, _ in piece]), np.array([t for _, t in piece], np.float64)
    times = np.interp(numbers, at, stamps)
    times[numbers < at[0]] = stamps[0] + (numbers[numbers < at[0]] - at[0]) * step
    times[numbers > at[-1]] = stamps[-1] + (numbers[numbers > at[-1]] - at[-1]) * step
    return times
