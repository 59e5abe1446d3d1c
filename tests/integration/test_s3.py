"""The data path against a real S3 protocol server, with and without faults between."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time

import numpy as np
import pytest

from tests.integration.s3_faults import FAULTS
from tests.unit.data.material import pretrain_settings, recipe_for, write_index, write_shards, write_video
from videomac.data.in_process import iterate
from videomac.data.plan import read_plan
from videomac.data.reader import Reader
from videomac.errors import DamagedFileError, StorageError
from videomac.records.shards import Sample
from videomac.storage.entries import Damaged, Patience
from videomac.storage.storage import Storage

pytestmark = pytest.mark.integration
OPTIONS = {"key": "test", "secret": "test", "region": "us-east-1"}
PATIENCE = Patience(deadline_s=30.0, attempt_s=1.0)


def storage_at(endpoint, root="s3://data/shards", patience=PATIENCE, **options):
    return Storage(root, {**OPTIONS, "endpoint_url": endpoint, **options}, patience)


@pytest.fixture(scope="module")
def thousand(s3_client):
    """1,000 samples of 2 KB in four tars of random bytes."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(4):
        content = rng.bytes(250 * 2048 + 900)
        s3_client.put_object(Bucket="data", Key=f"random/{number}.tar", Body=content)
        for i in range(250):
            offset = 2048 * i + i
            digest = hashlib.sha256(content[offset : offset + 2000]).hexdigest()
            samples.append(Sample(f"{number}-{i}", "video", f"{number}.tar", offset, 2000, digest, 24.0, 1.0))
    order = rng.permutation(len(samples))
    return [samples[i] for i in order]


@pytest.mark.slow
def test_a_thousand_samples_under_ten_percent_of_eleven_faults_are_all_exact(s3_proxy, thousand):
    s3_proxy.share = 0.1
    storage = storage_at(s3_proxy.url, "s3://data/random")
    reader = Reader(storage, ahead_bytes=16 << 10)  # a few samples a part: about a request each
    contents = list(reader.contents(thousand))
    assert [hashlib.sha256(c).hexdigest() for c in contents] == [sample.sha256 for sample in thousand]
    assert set(s3_proxy.injected) == set(FAULTS)
    faults = sum(s3_proxy.injected.values())
    # aiohttp asks once more by itself where a kept connection turns out to be closed; on a busy machine an answer may
    # come too late.
    closed = s3_proxy.injected["reset"] + s3_proxy.injected["truncated"]
    assert faults - closed <= storage.counts["retries"] <= 1.5 * faults, "one layer of retries"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_noticed_and_passes(s3_proxy, thousand, fault):
    storage = storage_at(s3_proxy.url, "s3://data/random")
    s3_proxy.share, s3_proxy.kinds = 1.0, (fault,)
    begin = time.monotonic()

    def heal(_: object) -> None:
        s3_proxy.share = 0.0

    storage._retries.note = lambda error, note=storage._retries.note: (heal(error), note(error))  # type: ignore[method-assign]
    (content,) = Reader(storage, 1 << 20).contents(thousand[:1])
    assert hashlib.sha256(content).hexdigest() == thousand[0].sha256
    assert storage.counts["retries"] == 1
    assert time.monotonic() - begin < 8


def error_of(contents):
    """Return what ends the reading, or what comes in the place of the bytes."""
    try:
        (content,) = contents
    except StorageError as error:
        return error
    assert isinstance(content, DamagedFileError)
    return content


@pytest.mark.parametrize(
    ("fault", "message"),
    [("status_503", "SlowDown|503|reduce"), ("wrong_bytes", "sha256 is"), ("reset", "cannot be reached or broke off")],
)
def test_a_fault_that_stays_ends_in_one_clear_error(s3_proxy, thousand, fault, message):
    storage = storage_at(s3_proxy.url, "s3://data/random", Patience(deadline_s=3.0, attempt_s=1.0))
    s3_proxy.share, s3_proxy.kinds = 1.0, (fault,)
    error = error_of(Reader(storage, 1 << 20).contents(thousand[:1]))
    assert re.search(message, str(error))
    assert "attempts in" in str(error)
    assert s3_proxy.requests < 25, "one layer of retries"


def test_denied_after_start_up_is_tried_three_times(s3_proxy, thousand):
    storage = storage_at(s3_proxy.url, "s3://data/random")
    s3_proxy.share, s3_proxy.kinds = 1.0, ("denied",)
    with pytest.raises(StorageError, match="denied"):
        list(Reader(storage, 1 << 20).contents(thousand[:1]))
    assert s3_proxy.injected["denied"] == 3


@pytest.fixture(scope="module")
def remote_shards(s3_client, tmp_path_factory):
    """Shards of three videos below s3://data/shards; returns the manifest's URL."""
    folder = tmp_path_factory.mktemp("remote")
    videos = [write_video(folder / f"{name}.mp4", frames) for name, frames in (("a", 24), ("b", 36), ("c", 48))]
    local = write_shards(folder / "shards", videos)
    for path in (folder / "shards").glob("[!.]*"):
        s3_client.put_object(Bucket="data", Key=f"shards/{path.name}", Body=path.read_bytes())
    return local, "s3://data/shards/manifest.json"


def open_remote(url, endpoint, **dotted):
    values = {f"data.storage_options.{name}": value for name, value in OPTIONS.items()}
    settings = pretrain_settings(url, **{**values, "data.storage_options.endpoint_url": endpoint, **dotted})
    return settings, read_plan(settings.data, 0)


def test_rows_from_a_faulty_store_are_those_of_the_disk(s3_proxy, remote_shards):
    local, url = remote_shards
    near = pretrain_settings(local)
    s3_proxy.share, s3_proxy.kinds = 0.3, tuple(kind for kind in FAULTS if kind not in ("denied", "drip"))
    far, plan = open_remote(url, s3_proxy.url, **{"data.io_attempt_s": 0.5})
    here = iterate(read_plan(near.data, 0), recipe_for(near), 0, 32, 8)
    there = iterate(plan, recipe_for(far), 0, 32, 8)
    for one, other in zip(here, there, strict=True):
        assert one.frames_b2hwc.equal(other.frames_b2hwc)
        assert one.keys == other.keys
    assert sum(s3_proxy.injected.values()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest": "s3://data/nothing/manifest.json"}, "does not exist; check bucket, prefix and AWS_ENDPOINT_URL"),
        ({"manifest": "s3://no-bucket/shards/manifest.json"}, "does not exist; check bucket"),
        ({"denied": True}, "denied .*check AWS_ACCESS_KEY_ID"),
        ({"credentials": False}, "no credentials; set AWS_ACCESS_KEY_ID"),
    ],
)
def test_start_up_fails_at_once_with_a_line_that_says_what_to_set(
    s3_proxy, remote_shards, monkeypatch, change, message
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    if change.get("denied"):
        s3_proxy.draw = lambda request: "denied"  # type: ignore[method-assign]
    options = {"region": "us-east-1"} if change.get("credentials") is False else OPTIONS
    dotted = {f"data.storage_options.{name}": value for name, value in options.items()}
    settings = pretrain_settings(change.get("manifest", remote_shards[1]), **dotted)
    settings = settings.with_values(**{"data.storage_options.endpoint_url": s3_proxy.url})
    Storage("s3://data", OPTIONS)  # imports are not part of the time
    begin = time.thread_time()
    with pytest.raises(StorageError, match=message) as error:
        read_plan(settings.data, 0)
    assert time.thread_time() - begin < 2.0
    assert s3_proxy.requests <= 2, "asked once (s3fs asks HEAD where a GET finds nothing)"
    assert "attempts" not in str(error.value), "unretried"


def test_a_missing_shard_is_found_at_start_up(s3_client, s3_proxy, tmp_path):
    from tests.unit.data.material import index_row

    write_index(tmp_path, [[index_row("k", "gone.tar")]])
    for name in ("manifest.json", "index.parquet"):
        s3_client.put_object(Bucket="data", Key=f"halved/{name}", Body=(tmp_path / name).read_bytes())
    with pytest.raises(StorageError, match=r"gone\.tar: does not exist"):
        open_remote("s3://data/halved/manifest.json", s3_proxy.url)


def test_writing_is_all_or_nothing(s3_client, s3_proxy, tmp_path):
    storage = storage_at(s3_proxy.url, "s3://data/out", Patience(deadline_s=2.0, attempt_s=10.0))
    storage.write("file", b"old")
    big = tmp_path / "big"
    big.write_bytes(bytes(101 << 20))  # beyond where s3fs would begin a multipart upload
    storage.upload("big", str(big))
    head = s3_client.head_object(Bucket="data", Key="out/big")
    assert head["ContentLength"] == 101 << 20
    assert "-" not in head["ETag"], "one request"
    s3_proxy.draw = lambda request: "reset"  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        storage.write("file", b"new")
    with pytest.raises(StorageError):
        storage.upload("file", str(big))
    assert s3_client.get_object(Bucket="data", Key="out/file")["Body"].read() == b"old"
    assert not s3_client.list_multipart_uploads(Bucket="data").get("Uploads")


def test_storage_calls_on_s3(s3_client, s3_server):
    storage = storage_at(s3_server, "s3://data/calls")
    storage.write("a/one", b"1")
    storage.write("two", b"22")
    storage.write(".hidden", b"3")
    assert [(e.name, e.size) for e in storage.list()] == [("a/one", 1), ("two", 2)]
    assert storage.exists("two")
    assert not storage.exists("three")
    assert storage.entry("two").version
    storage.remove("two")
    storage.remove("two")
    assert not storage.exists("two")
    with pytest.raises(StorageError, match="does not exist"):
        storage.read("two")
    assert dataclasses.asdict(storage.patience) == dataclasses.asdict(PATIENCE)
    with pytest.raises(StorageError, match=r"InvalidRange|came for"):
        storage.read("a/one", 5, 10)


def test_an_approving_check_is_asked_every_time(s3_server, s3_client):
    s3_client.put_object(Bucket="data", Key="calls/checked", Body=b"12345")
    storage = storage_at(s3_server, "s3://data/calls")
    seen = []

    def check(content: bytes) -> None:
        seen.append(content)
        if len(seen) < 3:
            raise Damaged("not yet")

    assert storage.read("checked", 0, 5, check) == b"12345"
    assert len(seen) == 3
