"""What a run is doing, told by its workers to its driver through an actor: their prints don't reach it.

Workers also report that they are alive: Ray Train itself waits for ever for the least number of workers (elastic) and
for a worker whose process has stopped (`starting.py` sets the limit).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import ray

PULSE_S = 2.0
"""Seconds between two signs of life of a worker."""


class Progress(TypedDict):
    """Figures of the newest line of metrics."""

    step: int
    steps: int
    """Steps in the run."""
    loss: float
    pairs_per_s: float
    wait_share: float
    """Share of the time in which workers waited for data."""
    eta_s: float
    """Seconds left."""


class Figures(TypedDict, total=False):
    """What the driver shows of a run; a key that nobody has posted yet is absent."""

    stage: str
    """What the run is doing, in words."""
    progress: Progress
    probe: str
    """Headline score of the newest probe."""
    probe_s: float
    """Seconds that probes took: of one when posted, of all when read."""
    probes: list[dict[str, float]]
    """Metrics of probes, in the order in which they ended."""
    notices: list[str]
    """Lines that must be seen, such as warnings."""


class Board:
    """Holds the newest figures and the time of the newest sign of life."""

    def __init__(self) -> None:
        self._figures: Figures = {}
        self._pulse: float | None = time.monotonic()

    def post(self, figures: Figures) -> None:
        """Replace the given figures; seconds of probes add up, metrics of probes and notices are collected."""
        old = self._figures
        collected: Figures = {
            "probe_s": old.get("probe_s", 0.0) + figures.get("probe_s", 0.0),
            "probes": old.get("probes", []) + figures.get("probes", []),
            "notices": old.get("notices", []) + figures.get("notices", []),
        }
        self._figures = {**old, **figures, **collected}

    def read(self) -> Figures:
        """Return all figures."""
        return self._figures

    def pulse(self, working: bool) -> None:
        """Note a worker's sign of life; nobody waits for one that has finished its work."""
        self._pulse = time.monotonic() if working else None

    def silent_s(self) -> float:
        """Return the seconds since any worker's last sign of life, or since the start; 0 when their work is done."""
        return 0.0 if self._pulse is None else time.monotonic() - self._pulse


class BoardClient:
    """A board in an actor of its own that costs no CPU; clients can be sent to other processes."""

    def __init__(self) -> None:
        self._actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()

    def post(self, figures: Figures) -> None:
        """Post figures; returns at once."""
        self._actor.post.remote(figures)

    def pulse(self, working: bool) -> None:
        """Give a sign of life; returns at once."""
        self._actor.pulse.remote(working)

    def read(self, timeout_s: float | None = None) -> Figures:
        """Return all figures.

        Raises:
            ray.exceptions.RayError: the actor is moving to another node or the cluster is shutting down.
        """
        return ray.get(self._actor.read.remote(), timeout=timeout_s)

    def silent_s(self, timeout_s: float) -> float:
        """Return `Board.silent_s`; raises as `read`."""
        return ray.get(self._actor.silent_s.remote(), timeout=timeout_s)

    def close(self) -> None:
        """End the actor."""
        ray.kill(self._actor)


@contextlib.contextmanager
def alive(board: BoardClient) -> Iterator[None]:
    """Report that this worker is alive while the block runs, and that its work is done if the block ends well."""

    def beat(ended: threading.Event) -> None:
        while not ended.is_set():
            board.pulse(working=True)
            ended.wait(PULSE_S)

    with beside(beat):
        yield
    board.pulse(working=False)


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `work` in a thread while the block runs; its event is set when the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=10)
