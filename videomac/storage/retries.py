"""The one layer of retries, and what it counts.

botocore's and s3fs's own retries are cut to one attempt, because layers multiply (5 x 5 requests and 40 s for a store
that is down). A fault that outlasts the deadline is a `StorageError`: one line that says what to do, with the caller's
advice on what the file is for.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from videomac.errors import DamagedFileError, MissingFileError, StorageError
from videomac.storage.entries import Advice, Damaged, Patience
from videomac.storage.files import Files

T = TypeVar("T")

DENIED_ATTEMPTS = 3
"""A 403 after start-up is a fault that may pass (credentials being renewed), but not for long."""


class Retries:
    """Repeats requests to one place. Safe to share between threads.

    Args:
        files: the place; they know which of its faults may pass, and what to say of them.
        patience: how long a request is repeated.
        advice: what the caller's files are for.
    """

    def __init__(self, files: Files, patience: Patience, advice: Advice) -> None:
        self._files, self._patience, self._advice = files, patience, advice
        self.counts: collections.Counter[str] = collections.Counter()
        """requests, bytes read, and retries in all and by the name of the fault."""
        self._lock = threading.Lock()

    def persist(self, attempt: Callable[[], T], url: str, first: bool = False) -> T:
        """Call `attempt` until it succeeds, fails for good, or the deadline passes.

        Args:
            attempt: makes one or more requests.
            url: what errors name.
            first: whether this is the first request of a run, which a 403 ends at once.

        Raises:
            StorageError: it did not succeed; MissingFileError and DamagedFileError say why.
        """
        start, denied = time.monotonic(), 0

        def may_pass(error: BaseException) -> bool:
            nonlocal denied
            denied += isinstance(error, PermissionError)
            if denied and (first or denied >= DENIED_ATTEMPTS):
                return False
            return self._files.may_pass(error)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            stop=tenacity.stop_after_delay(self._patience.deadline_s),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            before_sleep=lambda state: self.note(state.outcome.exception() if state.outcome else None),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except self._files.faults as error:
            attempts = retrying.statistics.get("attempt_number", 1)
            spent = f" ({attempts} attempts in {time.monotonic() - start:.1f} s)" if attempts > 1 else ""
            text = f"{url}: {self._files.explain(error, self._advice)}{spent}"
            raise _kind_of(error)(text) from error

    def note(self, error: BaseException | None) -> None:
        """Count a retry after a fault."""
        self.count(retries=1, **{f"retries_{type(error).__name__}": 1})

    def count(self, **increments: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.counts.update(increments)


def _kind_of(error: BaseException) -> type[StorageError]:
    if isinstance(error, FileNotFoundError):
        return MissingFileError
    return DamagedFileError if isinstance(error, Damaged) else StorageError
