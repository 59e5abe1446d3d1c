"""Decoding processes that outlive the test that started them, because each takes a fifth of a second to start."""

from __future__ import annotations

import subprocess
from collections import OrderedDict

import pytest

from videomac.data import subprocess_worker
from videomac.data.subprocess_worker import Child

MOST_IDLE = 4


class IdleChildren:
    """Keep the process of a `Child` that is closed, and hand it to the next one that would start the same process."""

    def __init__(self) -> None:
        self._idle: OrderedDict[object, Child] = OrderedDict()
        self._start, self._close, self._call = Child._start, Child.close, Child.call

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let every `Child` of the product take part."""
        patch.setattr(Child, "_start", lambda child: self._take(child) or self._start(child))
        patch.setattr(Child, "close", lambda child: self._keep(child) or self._close(child))
        patch.setattr(Child, "call", lambda child, *args, **kwargs: self._called(child, *args, **kwargs))

    def close(self) -> None:
        """End the processes that are left."""
        while self._idle:
            self._close(self._idle.popitem()[1])

    def _called(self, child: Child, *args, **kwargs):
        """A process that is closed during a call has crashed or hangs: it is not kept."""
        child.is_in_call = True
        try:
            return self._call(child, *args, **kwargs)
        finally:
            child.is_in_call = False

    def _take(self, child: Child) -> bool:
        idle = self._idle.pop(_key(child), None)
        if idle is None:
            return False
        _swap(child, idle)
        return True

    def _keep(self, child: Child) -> bool:
        process: subprocess.Popen | None = getattr(child, "_process", None)
        of_a_test = child._target.startswith("tests.")
        if process is None or process.poll() is not None or getattr(child, "is_in_call", False) or of_a_test:
            return False
        idle = Child(child._target, child._setup, child._bounds)
        _swap(idle, child)
        self._idle[_key(child)] = idle
        if len(self._idle) > MOST_IDLE:
            self._close(self._idle.popitem(last=False)[1])
        return True


def _key(child: Child) -> object:
    environment = tuple(subprocess_worker._environment().items())
    return child._target, bytes(child._setup), child._bounds.model_dump_json(), environment


def _swap(one: Child, other: Child) -> None:
    for name in ("_process", "_socket", "_memory"):
        ours, theirs = getattr(one, name), getattr(other, name)
        setattr(one, name, theirs)
        setattr(other, name, ours)
