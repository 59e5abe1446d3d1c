"""What a run is doing, seen by its driver all the time: workers' prints don't reach it, so they post to an actor.

Workers also say that they live: a driver that hears of none for `workers.start_timeout_s` ends with an error. Ray Train
itself waits for ever for the least number of workers (elastic), or for a worker whose process stands still.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray.exceptions
from rich.console import Console
from rich.live import Live
from rich.text import Text

from videomac.text import clock

REFRESH_S = 0.5
PLAIN_LINE_EVERY_S = 5.0
"""Without a terminal: seconds between two lines."""
PULSE_S = 2.0
"""Seconds between two signs of life of a worker."""


@ray.remote(num_cpus=0, max_restarts=-1)
class Board:
    """Holds the newest figures, and when a worker last lived; costs no CPU."""

    def __init__(self) -> None:
        self._figures: dict[str, Any] = {}
        self._pulse: float | None = time.monotonic()

    def post(self, figures: dict[str, Any]) -> None:
        """Replaces the figures that are given; seconds of probes add up, their scores and notices are collected."""
        old = self._figures
        sums = (("probe_s", 0.0), ("probes", []), ("notices", []))
        added = {key: old.get(key, zero) + figures.get(key, zero) for key, zero in sums}
        self._figures = old | figures | added

    def read(self) -> dict[str, Any]:
        """All figures."""
        return self._figures

    def pulse(self, working: bool) -> None:
        """A worker's sign of life; one that has done its work is not waited for."""
        self._pulse = time.monotonic() if working else None

    def silent_s(self) -> float:
        """Seconds since the last sign of life of any worker, or since the begin; 0 when their work is done."""
        return 0.0 if self._pulse is None else time.monotonic() - self._pulse


@contextlib.contextmanager
def alive(board: Any) -> Iterator[None]:
    """Tells the board that this worker lives while the block runs, and that its work is done if it ends well."""

    def beat(ended: threading.Event) -> None:
        while not ended.is_set():
            board.pulse.remote(working=True)
            ended.wait(PULSE_S)

    with _beside(beat):
        yield
    board.pulse.remote(working=False)


@contextlib.contextmanager
def silence_limited(board: Any, limit_s: float, on_silence: Callable[[], None]) -> Iterator[None]:
    """Calls `on_silence` once, from a thread, if no worker lived for `limit_s` while the block runs."""

    def watch(ended: threading.Event) -> None:
        while not ended.wait(min(1.0, limit_s / 4)):
            with contextlib.suppress(ray.exceptions.RayError, TimeoutError):
                silent_s: Any = ray.get(board.silent_s.remote(), timeout=5)
                if silent_s > limit_s:
                    on_silence()
                    return

    with _beside(watch):
        yield


@contextlib.contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `work` in a thread that is told when the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=10)


def line(figures: dict[str, Any]) -> str:
    """Stage, step, loss, speed, waiting and time left, as far as they are known."""
    parts = [figures.get("stage", "pretrain: starting workers and decode actors")]
    if "step" in figures:
        parts.append(f"step {figures['step']}/{figures['steps']}")
        parts.append(f"loss {figures['loss']:.4f}")
        parts.append(f"{figures['pairs_per_s']:.1f} pairs/s")
        parts.append(f"waiting for data {figures['wait_share']:.0%}")
        parts.append(f"{clock(figures['eta_s'])} left")
    if "probe" in figures:
        parts.append(f"probe {figures['probe']}")
    return " | ".join(parts)


@contextlib.contextmanager
def shown(board: Any) -> Iterator[None]:
    """Shows the board's figures while the block runs: one live line on a terminal, plain lines elsewhere."""
    watch = _watch_live if sys.stdout.isatty() else _watch_plain
    with _beside(lambda ended: watch(board, ended)):
        yield


class _Notices:
    """Lines that must be seen, such as warnings: each is said once, however soon the stage changes."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say, self._said = say, 0

    def of(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Says what is new; returns the figures."""
        for text in figures.get("notices", [])[self._said :]:
            self._say(text)
            self._said += 1
        return figures


def _watch_live(board: Any, ended: threading.Event) -> None:
    begin = time.monotonic()
    with Live(console=Console(), refresh_per_second=4) as live:
        notices = _Notices(live.console.print)
        while not ended.wait(REFRESH_S):
            text = f"[{clock(time.monotonic() - begin)}] {line(notices.of(_read(board)))}"
            live.update(Text(text, overflow="ellipsis", no_wrap=True))
        notices.of(_read(board))


def _watch_plain(board: Any, ended: threading.Event) -> None:
    begin, shown_last, printed_at = time.monotonic(), "", -PLAIN_LINE_EVERY_S
    notices = _Notices(functools.partial(print, flush=True))
    while not ended.wait(REFRESH_S):
        text, now = line(notices.of(_read(board))), time.monotonic()
        # A new stage or step is shown at once, but not more often than people can read; a standstill now and then.
        wait_s = PLAIN_LINE_EVERY_S if text != shown_last else 6 * PLAIN_LINE_EVERY_S
        if now - printed_at >= wait_s or text.split(" | ")[0] != shown_last.split(" | ")[0]:
            print(f"[{clock(now - begin)}] {text}", flush=True)
            shown_last, printed_at = text, now
    final = line(notices.of(_read(board)))
    if final != shown_last:
        print(f"[{clock(time.monotonic() - begin)}] {final}", flush=True)


def _read(board: Any) -> dict[str, Any]:
    try:
        return ray.get(board.read.remote(), timeout=5)
    except (ray.exceptions.RayError, TimeoutError):  # the board moves to another node, or the cluster is going down
        return {}
