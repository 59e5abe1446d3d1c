"""One local Ray cluster for all integration tests of a session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.s3_faults import FaultProxy, host_of

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a throw-away cluster on loopback
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a thread that outlives its cluster must not start another
# A cluster without a dashboard asks whatever answers at the dashboard's default port whether its Train controllers are
# alive. Where that is the dashboard of another cluster, the answer is no, and the workers are removed (docs/log.md).
os.environ.setdefault("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def _ray_session() -> Iterator[None]:
    import ray

    folder = tempfile.mkdtemp(prefix="vmac", dir="/tmp")  # short: socket paths are limited to 107 bytes
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def ray_cluster(_ray_session: None) -> None:
    """The session's cluster, with four CPUs to book whatever the machine has."""
    import ray

    assert ray.is_initialized(), "a test shut the shared cluster down"


@pytest.fixture(scope="session")
def sample_shards(_ray_session: None, tmp_path_factory: pytest.TempPathFactory, sample_clips: Path) -> Path:
    """Shards of four real clips, small enough to decode in next to no time."""
    from shards.build import build_shards
    from videomac import config

    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    for clip in sorted(sample_clips.iterdir())[:4]:
        shutil.copy(clip, folder / "clips")
    build_shards(config.BuildShards(source=f"{folder}/clips", out=f"{folder}/shards", reencode=True, short_side=64))
    return folder / "shards"


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:
    """boto3's client of the S3 server, which has a bucket `data`; it does not pass through a proxy."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_server, **keys)
    client.create_bucket(Bucket="data")
    return client


@pytest.fixture
def s3_proxy(s3_server: str, s3_client: Any) -> Iterator[FaultProxy]:
    """A proxy before the S3 server that breaks the answers that the test asks it to break."""
    proxy = FaultProxy(host_of(s3_server))
    yield proxy
    proxy.close()
