"""Fixtures for the unit tests of all rooms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.memory_store import MemoryFiles
from tests.unit.idle_children import IdleChildren
from videomac.storage import copies, storage
from videomac.storage.files import Files, open_files


@dataclasses.dataclass
class MemoryStore:
    """What `memory://` URLs lead to during a test."""

    objects: dict[str, bytes] = dataclasses.field(default_factory=dict)
    """By URL."""
    failures: list[BaseException] = dataclasses.field(default_factory=list)
    """What the next calls raise, the first of them first."""


@pytest.fixture(scope="session", autouse=True)
def _idle_children() -> Iterator[None]:
    """Tests share decoding processes: starting one costs more than what most tests ask of it."""
    children = IdleChildren()
    with pytest.MonkeyPatch.context() as patch:
        children.install(patch)
        yield
    children.close()


@pytest.fixture
def memory_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    """An object store below `memory://`."""
    store = MemoryStore()

    def open_any(root, options, patience) -> Files:
        if root.startswith("memory://"):
            return MemoryFiles(root, store.objects, store.failures)
        return open_files(root, options, patience)

    monkeypatch.setattr(storage, "open_files", open_any)
    copies._store.cache_clear()
    yield store
    copies._store.cache_clear()
