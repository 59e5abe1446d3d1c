"""Fixtures for all tests: where samples, test files and the shared development data lie."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from videomac.facts.shipped import SAMPLES

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Imports large libraries before any module of ours.

    What a module imports while it is given its type checks (pyproject.toml) is compiled anew, for seconds in every
    process. Here, because a process that only hands out tests to others collects none.
    """
    if collector.config.getoption("--jaxtyping-packages"):
        for library in ("ray.data", "ray.train", "timm"):
            importlib.import_module(library)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Small files of the tests, with their own README."""
    return ROOT / "tests" / "fixtures"


@pytest.fixture(scope="session")
def sample_clips() -> Path:
    """The ten real clips of the quickstart."""
    return SAMPLES / "clips"


@pytest.fixture(scope="session")
def sample_davis() -> Path:
    """Two DAVIS sequences at 240p in the data set's own layout."""
    return SAMPLES / "davis"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development data that may not be shipped with the project: goes with the marker `needs_shared`."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the shared development data beside the checkout (../shared/data)")
    return SHARED_DATA
