"""The values that were made last: a small cache that makes room before it makes another value."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `most` values by key, the one being made included.

    `functools.lru_cache` makes the next value while it still holds all the old ones: one row group more in memory.
    """

    def __init__(self, most: int, make: Callable[[K], V]) -> None:
        self._most, self._make = most, make
        self._values: dict[K, V] = {}

    def __call__(self, key: K) -> V:
        """Return the value of a key; make it if it is not there, and drop the oldest ones first."""
        if key not in self._values:
            while len(self._values) >= self._most:
                self._values.pop(next(iter(self._values)))
            self._values[key] = self._make(key)
        return self._values[key]
