"""Fixtures for all tests: samples, test files, the shared development data, and an S3 server."""

from __future__ import annotations

import gc
import importlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from videomac.facts.shipped import SAMPLES

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
_BUCKET_NUMBERS = itertools.count()


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import large libraries before any module of the project.

    While the hook that adds type checks (pyproject.toml) loads a module, everything that the module imports is compiled
    again, which takes each process seconds. This happens at collection, so that the process that only distributes tests
    to others does not import them.
    """
    if collector.config.getoption("--jaxtyping-packages"):
        for library in ("ray.data", "ray.train", "timm"):
            importlib.import_module(library)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Switch the garbage collector off while the libraries are imported: there is nothing to collect."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for garbage again from here on, but not among what the imports made."""
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Count the tests marked `needs_ffmpeg` as integration: they start processes."""
    if item.get_closest_marker("needs_ffmpeg"):
        item.add_marker(pytest.mark.integration)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests marked `needs_ffmpeg` where there is no ffmpeg."""
    if item.get_closest_marker("needs_ffmpeg") and not all(map(shutil.which, ("ffmpeg", "ffprobe"))):
        pytest.skip("needs ffmpeg and ffprobe (Debian: apt-get install ffmpeg)")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The small files that tests read, described in their own README."""
    return ROOT / "tests" / "fixtures"


@pytest.fixture(scope="session")
def sample_clips() -> Path:
    """The ten real clips of the quickstart."""
    return SAMPLES / "clips"


@pytest.fixture(scope="session")
def sample_davis() -> Path:
    """Two DAVIS sequences at 240p, in the layout of the data set."""
    return SAMPLES / "davis"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development data that may not be shipped with the project; use it with the marker `needs_shared`."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the shared development data beside the checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Endpoint of an S3 server (moto) on loopback: one for all tests of this process; it takes any credentials."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a new bucket on that server, which the environment names as a user's does, also for child processes."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_BUCKET_NUMBERS)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}"
