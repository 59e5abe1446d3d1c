"""What an object store's faults mean, without a server."""

from __future__ import annotations

import asyncio
import errno
import functools
import hashlib
import http.server
import threading

import aiohttp
import botocore.exceptions
import pytest

from videomac.errors import ConfigError
from videomac.storage import object_files
from videomac.storage import s3fs_internals as client
from videomac.storage.entries import NO_ADVICE, Advice, Damaged, Patience
from videomac.storage.object_files import ObjectFiles
from videomac.storage.storage import Storage

ADVICE = Advice(missing="make it", slow="wait", access="set options", damaged="verify it")


@pytest.fixture(scope="module")
def files():
    return ObjectFiles("s3://bucket/root", {"key": "k", "secret": "s"}, Patience(attempt_s=2.0))


def translated(kind, code):
    """As s3fs makes it of a store's answer."""
    error = kind("the store's words")
    error.__cause__ = botocore.exceptions.ClientError({"Error": {"Code": code}}, "PutObject")
    return error


def einval(text):
    return OSError(errno.EINVAL, text)


NO_CREDENTIALS = botocore.exceptions.NoCredentialsError()
NO_PROFILE = botocore.exceptions.ProfileNotFound(profile="mine")
REFUSED = botocore.exceptions.EndpointConnectionError(endpoint_url="http://store")


@pytest.mark.parametrize(
    ("error", "passes", "text"),
    [
        (Damaged("5 bytes came for 10"), True, "5 bytes came for 10; verify it"),
        (
            FileNotFoundError("key"),
            False,
            "does not exist; check bucket, prefix and AWS_ENDPOINT_URL, or make it (key)",
        ),
        (
            translated(PermissionError, "ExpiredToken"),
            True,
            "the bucket's policy, or set options (ExpiredToken: the store's words)",
        ),
        (NO_CREDENTIALS, False, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set options (Unable"),
        (NO_PROFILE, False, "on every node (The config profile (mine) could not be found)"),
        (REFUSED, True, "broke off; check AWS_ENDPOINT_URL, or set options (Could not connect"),
        (aiohttp.ClientPayloadError("cut"), True, "the server cannot be reached or broke off"),
        (ConnectionResetError("reset"), True, "the server cannot be reached or broke off"),
        (asyncio.TimeoutError(), True, "no answer in time; check that the store is up and reachable, or wait ("),
        (OSError(16, "reduce your rate"), True, "the store fails; try again later"),
        (translated(einval, "InvalidRange"), False, "the store refuses the request; check the URL and AWS_DEFAULT"),
        (translated(einval, "BadDigest"), True, "the store refuses the request"),
        (ValueError("a bug"), False, ""),
    ],
)
def test_a_fault_is_retried_or_not_and_explained(files, error, passes, text):
    assert files.may_pass(error) is passes
    if text:
        assert text in files.explain(error, ADVICE)
        assert "or " not in files.explain(FileNotFoundError("x"), NO_ADVICE).partition("(")[0]


def test_content_that_contradicts_its_etag_is_refused_until_it_comes_again(files, monkeypatch):
    """An ETag that is no checksum, as of a store that encrypts, costs one more request and no more errors."""
    etag = hashlib.md5(b"right").hexdigest()
    monkeypatch.setattr(client, "info", lambda *_: {"size": 5, "ETag": f'"{etag}"'})
    answers = [b"wrong", b"right", b"wrong", b"wrong", b"other"]
    monkeypatch.setattr(client, "read_range", lambda *_: answers.pop(0))
    with pytest.raises(Damaged, match="the store's checksum"):
        files.read_whole("name")
    assert files.read_whole("name") == b"right"
    assert files.read_whole("name") == b"wrong", "the same wrong bytes twice: the ETag is no checksum"
    assert files.read_whole("name") == b"wrong"
    assert files.read_whole("name") == b"other"


def test_options_are_checked_and_never_shown():
    storage = Storage("s3://bucket", {"key": "k-visible", "secret": "s-visible", "token": "t-visible"})
    assert "visible" not in repr(storage) + repr(storage._files) + str(vars(storage).keys())
    with pytest.raises(ConfigError, match=r"unknown \['pasword'\]") as error:
        Storage("s3://bucket", {"pasword": "p-visible"})
    assert "visible" not in str(error.value)
    with pytest.raises(ConfigError, match="use a local path"):
        Storage("nosuch://bucket")
    with pytest.raises(ConfigError, match="memory:// is not supported"):
        Storage("memory://bucket")


@pytest.fixture
def web(tmp_path):
    """Python's own web server, which knows no ranges."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_web_server_without_ranges_is_read_all_the_same_unless_the_file_is_large(web, tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"0123456789")
    storage = Storage(web)

    assert storage.read("a.mp4?signature=x", 3, 4) == b"3456"
    assert storage.read("a.mp4") == b"0123456789"

    monkeypatch.setattr(object_files, "MOST_WITHOUT_RANGES", 5)
    with pytest.raises(ConfigError, match=r"a\.mp4: the server sends the whole file .* download the file and give"):
        storage.read("a.mp4", 3, 4)
