"""Every use of s3fs and fsspec beyond their documentation, on a server: what an update of either must not change."""

from __future__ import annotations

import asyncio
import pickle
import time

import pytest

from videomac.storage import s3fs_internals as internals

pytestmark = pytest.mark.integration
KEYS = {"key": "test", "secret": "test", "client_kwargs": {"region_name": "us-east-1"}}
ROOT = "s3://data/internals"


@pytest.fixture
def fs(s3_proxy):
    once = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
    return internals.OneAttemptS3(**KEYS, endpoint_url=s3_proxy.url, config_kwargs=once, skip_instance_cache=True)


def test_a_range_is_a_range_and_an_empty_one_is_empty(fs, s3_client):
    s3_client.put_object(Bucket="data", Key="internals/file", Body=b"0123456789")
    assert internals.read_range(fs, f"{ROOT}/file", 2, 5, 5.0) == b"234"
    assert internals.read_range(fs, f"{ROOT}/file", 8, 100, 5.0) == b"89"
    assert internals.read_range(fs, f"{ROOT}/file", 3, 3, 5.0) == b""


def test_info_has_size_etag_and_type(fs, s3_client):
    etag = s3_client.put_object(Bucket="data", Key="internals/sub/file", Body=b"12345")["ETag"]
    about = internals.info(fs, f"{ROOT}/sub/file", 5.0)
    assert (about["size"], about["ETag"], about["type"]) == (5, etag, "file")
    assert internals.info(fs, f"{ROOT}/sub", 5.0)["type"] == "directory"
    with pytest.raises(FileNotFoundError):
        internals.info(fs, f"{ROOT}/nothing", 5.0)


def test_find_lists_below_a_prefix_fresh_every_time(fs, s3_client):
    s3_client.put_object(Bucket="data", Key="internals/list/a/one", Body=b"1")
    s3_client.put_object(Bucket="data", Key="internals/list/placeholder/", Body=b"")
    assert list(internals.find(fs, f"{ROOT}/list", 5.0)) == ["a/one"]
    s3_client.put_object(Bucket="data", Key="internals/list/two", Body=b"22")
    found = internals.find(fs, f"{ROOT}/list", 5.0)
    assert {name: about["size"] for name, about in found.items()} == {"a/one": 1, "two": 2}


def test_bytes_and_files_are_written_in_one_request(fs, s3_client, s3_proxy, tmp_path):
    (tmp_path / "big").write_bytes(bytes(101 << 20))  # beyond where s3fs would start an upload in parts
    internals.put_file(fs, f"{ROOT}/big", str(tmp_path / "big"), 60.0)
    internals.put_bytes(fs, f"{ROOT}/big2", bytes(101 << 20), 60.0)
    assert s3_proxy.requests == 2
    for key in ("internals/big", "internals/big2"):
        assert s3_client.head_object(Bucket="data", Key=key)["ContentLength"] == 101 << 20


def test_a_put_is_conditional_and_returns_the_etag(fs, s3_client):
    url = f"{ROOT}/swapped"
    first = internals.put_bytes(fs, url, b"1", 5.0, IfNoneMatch="*")
    assert first == s3_client.head_object(Bucket="data", Key="internals/swapped")["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"0123456789abcdef0123456789abcdef"'}):
        with pytest.raises(OSError) as refused:  # noqa: PT011 - s3fs has no better class
            internals.put_bytes(fs, url, b"x", 5.0, **condition)
        assert internals.store_code(refused.value) == "PreconditionFailed"
    with pytest.raises(FileNotFoundError) as gone:
        internals.put_bytes(fs, f"{ROOT}/never", b"x", 5.0, IfMatch='"0"')
    assert internals.store_code(gone.value) == "NoSuchKey"
    internals.put_bytes(fs, url, b"2", 5.0, IfMatch=first)
    assert s3_client.get_object(Bucket="data", Key="internals/swapped")["Body"].read() == b"2"


def test_removing(fs, s3_client):
    s3_client.put_object(Bucket="data", Key="internals/removed", Body=b"")
    internals.remove(fs, f"{ROOT}/removed", 5.0)
    assert "Contents" not in s3_client.list_objects_v2(Bucket="data", Prefix="internals/removed")


def test_the_timeout_bounds_a_whole_call_whose_server_keeps_sending(fs, s3_client, s3_proxy):
    s3_client.put_object(Bucket="data", Key="internals/slow", Body=bytes(10_000))
    s3_proxy.share, s3_proxy.kinds = 1.0, ("drip",)
    start = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        internals.read_range(fs, f"{ROOT}/slow", 0, 10_000, 1.0)
    assert time.monotonic() - start < 3.0


def test_one_attempt_also_after_pickling(fs, s3_client, s3_proxy):
    s3_client.put_object(Bucket="data", Key="internals/once", Body=b"x")
    s3_proxy.share, s3_proxy.kinds = 1.0, ("status_503",)
    for one in (fs, pickle.loads(pickle.dumps(fs))):
        before = s3_proxy.requests
        with pytest.raises(OSError, match="injected"):
            internals.read_range(one, f"{ROOT}/once", 0, 1, 5.0)
        assert s3_proxy.requests == before + 1
