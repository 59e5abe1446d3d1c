"""What `ObjectFiles` uses of fsspec and s3fs beyond their documentation, each with its reason.

`tests/integration/test_s3fs_internals.py` exercises every function against a server.

- `timeout=` of the blocking methods: they are made by `fsspec.asyn.sync_wrapper`, which hands the keyword to
  `fsspec.asyn.sync`. It is the only limit on a whole call: botocore's `read_timeout` starts again with every byte, so
  that a server that sends a byte a second keeps a request alive for ever.
- `S3FileSystem.retries`, a class attribute: five attempts by default around botocore's own five. One layer of retries
  is `Storage`'s. A subclass, because attributes that are set on an instance are lost when it is pickled.
- Keywords of `pipe_file` and `put_file` reach `put_object` (`IfMatch`, `IfNoneMatch`), and `chunksize` decides between
  one request and an upload in parts.
- `_strip_protocol`: the path that all other methods take.
- `ClientError` as the `__cause__` of a translated error: the store's own code stands only there.
"""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import s3fs

ONE_REQUEST: dict[str, Any] = {"chunksize": 5 * 2**30}
"""One PUT up to S3's limit of 5 GiB: an upload in parts that a time limit cuts off would stay open in the bucket."""


class OneAttemptS3(s3fs.S3FileSystem):
    """s3fs without its own retries."""

    retries = 1


def read_range(fs: Any, url: str, start: int, end: int, timeout_s: float) -> bytes:
    """Return bytes [start, end), fewer at the end of the object.

    By keyword: the second positional argument of s3fs's `cat_file` is a version id. An empty range would return the
    whole object.
    """
    return fs.cat_file(_path(fs, url), start=start, end=end, timeout=timeout_s) if end > start else b""


def info(fs: Any, url: str, timeout_s: float) -> dict[str, Any]:
    """Return what the store says of an object or prefix: `type`, `size`, `ETag` or `LastModified`."""
    return fs.info(_path(fs, url), timeout=timeout_s)


def find(fs: Any, url: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """Return the info of every object below a prefix, by name relative to it; placeholders of folders are left out."""
    fs.invalidate_cache()  # the listing cache is off, but `find` fills it all the same
    base = _path(fs, url).rstrip("/")
    found = fs.find(base, detail=True, timeout=timeout_s)
    relative = {path[len(base) + 1 :]: about for path, about in found.items()}
    return {name: about for name, about in relative.items() if name and not name.endswith("/")}


def put_bytes(fs: Any, url: str, content: bytes, timeout_s: float, **conditions: str) -> str | None:
    """Write an object in one request; return its ETag where the file system tells it."""
    limits = ONE_REQUEST if isinstance(fs, s3fs.S3FileSystem) else {}
    answer = fs.pipe_file(_path(fs, url), content, timeout=timeout_s, **limits, **conditions)
    return answer.get("ETag") if isinstance(answer, dict) else None


def put_file(fs: Any, url: str, local_path: str, timeout_s: float) -> None:
    """Write an object from a local file in one request."""
    limits: dict[str, Any] = ONE_REQUEST if isinstance(fs, s3fs.S3FileSystem) else {}
    fs.put_file(local_path, _path(fs, url), timeout=timeout_s, **limits)


def remove(fs: Any, url: str, timeout_s: float) -> None:
    """Remove an object; S3 does not say whether there was one."""
    fs.rm_file(_path(fs, url), timeout=timeout_s)


def store_code(error: BaseException) -> str:
    """Return the store's own code of an error that s3fs translated, such as `NoSuchKey`; empty if there is none."""
    cause = error if isinstance(error, botocore.exceptions.ClientError) else error.__cause__
    return cause.response.get("Error", {}).get("Code", "") if isinstance(cause, botocore.exceptions.ClientError) else ""


def _path(fs: Any, url: str) -> str:
    return fs._strip_protocol(url)
