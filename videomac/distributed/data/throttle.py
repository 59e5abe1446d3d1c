"""A brake for Ray Data's scheduling loop: a module of its own, because decode actors import it and need no torch."""

from __future__ import annotations

import time
from typing import Any

from videomac.distributed.ray_internals import ExecutionCallback

TURN_S = 0.1
"""Least time of a turn of the scheduling loop."""


class Throttle(ExecutionCallback):
    """Slows down Ray Data's scheduling loop while decoded rows wait for a slow trainer.

    The loop waits for tasks that have something to hand over. When all of them have, and the budget for waiting rows
    is used up, that wait ends at once: the loop turned without a pause and took most of a core from the training (seen
    with ray 2.60).
    """

    def __init__(self) -> None:
        self._turned = time.monotonic()

    def on_execution_step(self, executor: Any) -> None:  # noqa: ARG002 - Ray's signature
        """Wait until the turn has taken its time; long turns are not made longer."""
        time.sleep(max(0.0, self._turned + TURN_S - time.monotonic()))
        self._turned = time.monotonic()
