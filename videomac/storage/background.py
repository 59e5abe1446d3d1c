"""Uploads that nobody waits for until a checkpoint does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """Runs uploads one after the other in a thread, so that a slow or absent store does not hold up the caller."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._started: list[Future[None]] = []

    def start(self, upload: Callable[[], None]) -> None:
        """Queue an upload."""
        self._started.append(self._thread.submit(upload))

    def settle(self) -> None:
        """Wait until all uploads have ended.

        Raises:
            StorageError: or whatever else the first one that failed has raised.
        """
        started, self._started = self._started, []
        for upload in started:
            upload.result()
