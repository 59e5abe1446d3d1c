"""How far Ray Train has come with starting workers, and when the driver stops waiting for them.

Ray Train limits only how long it waits for room in the cluster. It waits for ever for processes to start, for an
elastic group that cannot be placed, and for workers whose processes have stopped. The driver therefore ends a run in
which nothing has moved for `workers.start_timeout_s`: no worker gave a sign of life, and the start came no further.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import ray.exceptions
from ray.actor import ActorHandle

from videomac.distributed.ray_internals import ActorSeen, actor_seen, workers_seen
from videomac.distributed.train.board import PULSE_S, BoardClient, beside


class Stage(enum.IntEnum):
    """The stages of a start, in order."""

    CONTROLLER = 0
    """The process of Ray Train's controller is starting."""
    PLACING = 1
    """The cluster is looking for room for the workers."""
    PROCESSES = 2
    """The workers have their places; their processes are starting."""
    FUNCTION = 3
    """All processes are alive, and import what they run."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the cluster's tables say of a start."""

    stage: Stage
    workers: int = 0
    """Workers that are placed."""
    running: int = 0
    """Workers whose process is alive."""
    died: str = ""
    """Why the worker that died last did so."""


def look(controller: ActorHandle | None) -> Seen:
    """Return how far the start has come; it never gets further than the controller where there is none yet."""
    if controller is None or actor_seen(controller).state != "ALIVE":
        return Seen(Stage.CONTROLLER)
    return judge(workers_seen(controller))


def judge(workers: Sequence[ActorSeen]) -> Seen:
    """Return how far the start of these workers has come; dead ones belong to attempts that are over."""
    current = [worker for worker in workers if worker.state != "DEAD"]
    running = sum(worker.state == "ALIVE" for worker in current)
    died = next((worker.reason for worker in reversed(workers) if worker.reason), "")
    if not current:
        return Seen(Stage.PLACING, died=died)
    return Seen(Stage.FUNCTION if running == len(current) else Stage.PROCESSES, len(current), running, died)


class Patience:
    """Says when nothing has moved for `limit_s`: neither a sign of life came, nor did a start reach a further stage.

    So a worker that starts slowly may take the whole limit for each stage. A group that dies and starts again reaches
    no further stage than before.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._furthest, self._moved = limit_s, None, 0.0

    def is_over(self, now: float, silent_s: float, seen: Callable[[], Seen]) -> Seen | None:
        """Return what was seen last when the limit has passed, None before.

        Args:
            now: time in seconds.
            silent_s: seconds since the last sign of life.
            seen: asks the cluster; called only if workers are silent.
        """
        if silent_s < min(2 * PULSE_S, self._limit_s / 4):
            self._furthest = None
            return None
        found = seen()
        if self._furthest is None:
            self._furthest, self._moved = found.stage, now - silent_s
        elif found.stage > self._furthest:
            self._furthest, self._moved = found.stage, now
        return found if min(silent_s, now - self._moved) > self._limit_s else None


@contextlib.contextmanager
def limited(
    board: BoardClient, limit_s: float, controller: Callable[[], ActorHandle | None], on_limit: Callable[[Seen], None]
) -> Iterator[None]:
    """Call `on_limit` once, from a thread, if nothing has moved for `limit_s` while the block runs."""

    def watch(ended: threading.Event) -> None:
        patience, silence = Patience(limit_s), _Silence(board)
        while not ended.wait(min(1.0, limit_s / 4)):
            with contextlib.suppress(ray.exceptions.RayError, TimeoutError):  # the next look may succeed
                over = patience.is_over(time.monotonic(), silence.seconds(), lambda: look(controller()))
                if over is not None:
                    on_limit(over)
                    return

    with beside(watch):
        yield


class _Silence:
    """Seconds without a sign of life. A board that has never answered counts as silent, one that moves does not."""

    def __init__(self, board: BoardClient) -> None:
        self._board, self._begin = board, time.monotonic()
        self._answered = False

    def seconds(self) -> float:
        """Return them; raises `RayError` while a board that once answered cannot be asked."""
        try:
            silent_s = self._board.silent_s(timeout_s=5)
        except (ray.exceptions.RayError, TimeoutError):
            if self._answered:
                raise
            return time.monotonic() - self._begin
        self._answered = True
        return silent_s
