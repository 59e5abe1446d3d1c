"""The board's figures on the driver's screen: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator

import ray.exceptions
from rich.console import Console
from rich.live import Live
from rich.text import Text

from videomac.distributed.train.board import BoardClient, Figures, beside
from videomac.text import clock

REFRESH_S = 0.5
PLAIN_LINE_EVERY_S = 5.0
"""Without a terminal: seconds between two lines."""


def line(figures: Figures) -> str:
    """Return stage, step, loss, speed, waiting and time left, as far as they are known."""
    parts = [figures.get("stage", "pretrain: starting workers and decode actors")]
    if "progress" in figures:
        progress = figures["progress"]
        parts += [
            f"step {progress['step']}/{progress['steps']}",
            f"loss {progress['loss']:.4f}",
            f"{progress['pairs_per_s']:.1f} pairs/s",
            f"waiting for data {progress['wait_share']:.0%}",
            f"{clock(progress['eta_s'])} left",
        ]
    if "probe" in figures:
        parts.append(f"probe {figures['probe']}")
    return " | ".join(parts)


@contextlib.contextmanager
def shown(board: BoardClient) -> Iterator[None]:
    """Show the board's figures while the block runs."""
    watch = _watch_live if sys.stdout.isatty() else _watch_plain
    with beside(lambda ended: watch(board, ended)):
        yield


class Notices:
    """Prints each notice once, even if the stage changes right after it was posted."""

    def __init__(self, print_line: Callable[[str], object]) -> None:
        self._print_line, self._printed = print_line, 0

    def of(self, figures: Figures) -> Figures:
        """Print the new notices; returns the figures."""
        for text in figures.get("notices", [])[self._printed :]:
            self._print_line(text)
            self._printed += 1
        return figures


def _watch_live(board: BoardClient, ended: threading.Event) -> None:
    begin = time.monotonic()
    with Live(console=Console(), refresh_per_second=4) as live:
        notices = Notices(live.console.print)
        while not ended.wait(REFRESH_S):
            text = f"[{clock(time.monotonic() - begin)}] {line(notices.of(_read(board)))}"
            live.update(Text(text, overflow="ellipsis", no_wrap=True))
        notices.of(_read(board))


def _watch_plain(board: BoardClient, ended: threading.Event) -> None:
    begin, shown_last, printed_at = time.monotonic(), "", -PLAIN_LINE_EVERY_S
    notices = Notices(functools.partial(print, flush=True))
    while not ended.wait(REFRESH_S):
        text, now = line(notices.of(_read(board))), time.monotonic()
        # A new stage or step comes at once, but not faster than people read; the same line again only now and then.
        wait_s = PLAIN_LINE_EVERY_S if text != shown_last else 6 * PLAIN_LINE_EVERY_S
        if now - printed_at >= wait_s or text.split(" | ")[0] != shown_last.split(" | ")[0]:
            print(f"[{clock(now - begin)}] {text}", flush=True)
            shown_last, printed_at = text, now
    final = line(notices.of(_read(board)))
    if final != shown_last:
        print(f"[{clock(time.monotonic() - begin)}] {final}", flush=True)


def _read(board: BoardClient) -> Figures:
    try:
        return board.read(timeout_s=5)
    except (ray.exceptions.RayError, TimeoutError):  # the board is moving to another node, or the cluster shuts down
        return {}
