"""Object stores as `Storage` sees them: s3fs (or another fsspec file system), one attempt per call, each with a limit.

Why not pyarrow: it returns a body of full length with wrong bytes where the store sent a short one.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from typing import Any

import aiohttp
import botocore.exceptions
import fsspec
import fsspec.asyn
import s3fs

from videomac.errors import ConfigError

FAULTS = (
    OSError,
    asyncio.TimeoutError,
    aiohttp.ClientError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)
"""Everything that an attempt may raise; `except OSError` alone misses resets, truncation and missing credentials."""
FOR_GOOD = (
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ParamValidationError,
)
ADVICE: tuple[tuple[Any, str], ...] = (
    (
        (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError),
        "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or storage_options key and secret",
    ),
    (FileNotFoundError, "does not exist; check bucket, prefix and AWS_ENDPOINT_URL"),
    (PermissionError, "denied (403); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"),
    (asyncio.TimeoutError, "no answer in time; look at the store, or raise data.io_timeout_s and data.io_attempt_s"),
    (
        (botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError, aiohttp.ClientError),
        "the server cannot be reached or broke off; check AWS_ENDPOINT_URL, or storage_options endpoint_url",
    ),
)
OPTIONS = {"endpoint_url", "key", "secret", "token", "region"}
ONE_REQUEST = {"chunksize": 5 * 2**30}
"""One PUT up to S3's limit of 5 GiB: a multipart upload that a time limit cuts off would be left open in the bucket."""


class OneAttemptS3(s3fs.S3FileSystem):
    """s3fs without its own retries (a subclass, because attributes set later are lost when it is pickled)."""

    retries = 1


class RemoteFiles:
    """The few calls that `Storage` needs, each one attempt that ends within its time limit."""

    def __init__(self, fs: Any, writing: Mapping[str, Any] | None = None) -> None:
        self._fs, self._writing = fs, dict(writing or {})

    def _run(self, coroutine: Any, *args: Any, timeout: float, **kwargs: Any) -> Any:
        return fsspec.asyn.sync(self._fs.loop, coroutine, *args, timeout=timeout, **kwargs)

    def read_range(self, url: str, start: int, length: int, timeout_s: float) -> bytes:
        """Up to `length` bytes from `start`: the caller checks."""
        # By keyword: the second positional argument of s3fs's cat_file is a version id.
        return self._run(self._fs._cat_file, self._path(url), start=start, end=start + length, timeout=timeout_s)

    def entry(self, url: str, timeout_s: float) -> tuple[int, str]:
        """Size and version."""
        info = self._run(self._fs._info, self._path(url), timeout=timeout_s)
        if info.get("type") == "directory":
            raise FileNotFoundError(url)
        return int(info["size"] or 0), _version(info)

    def list(self, root: str, timeout_s: float) -> list[tuple[str, int, str]]:
        """(relative name, size, version) of every file below `root`."""
        self._fs.invalidate_cache()
        base = self._path(root).rstrip("/")
        found = self._run(self._fs._find, base, detail=True, timeout=timeout_s)
        if not found:
            raise FileNotFoundError(root)
        rows = ((path[len(base) + 1 :], info) for path, info in found.items())
        return [(name, int(info["size"]), _version(info)) for name, info in rows if name]

    def write(self, url: str, content: bytes, timeout_s: float) -> None:
        """All or nothing."""
        self._run(self._fs._pipe_file, self._path(url), content, timeout=timeout_s, **self._writing)

    def upload(self, url: str, local_path: str, timeout_s: float) -> None:
        """All or nothing."""
        self._run(self._fs._put_file, local_path, self._path(url), timeout=timeout_s, **self._writing)

    def remove(self, url: str, timeout_s: float) -> None:
        """Removes one file."""
        self._run(self._fs._rm_file, self._path(url), timeout=timeout_s)

    @staticmethod
    def may_pass(error: BaseException) -> bool:
        """Whether another attempt may succeed."""
        if isinstance(error, FOR_GOOD) or (isinstance(error, OSError) and error.errno == errno.EINVAL):
            return False
        return isinstance(error, FAULTS)

    @staticmethod
    def explain(error: BaseException) -> str:
        """What went wrong, and what to set or look at, in one line."""
        for kinds, advice in ADVICE:
            if isinstance(error, kinds):
                return f"{advice} ({_line(error)})"
        return _line(error)

    def _path(self, url: str) -> str:
        return self._fs._strip_protocol(url)


def filesystem(root: str, options: Mapping[str, str], attempt_s: float) -> RemoteFiles:
    """The file system of a URL.

    Raises:
        ConfigError: an unknown protocol or storage option.
    """
    protocol = root.partition("://")[0]
    if protocol in ("s3", "s3a"):
        return RemoteFiles(OneAttemptS3(**_s3_arguments(options, attempt_s)), ONE_REQUEST)
    try:
        fs = fsspec.filesystem(protocol, **options)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{root}: cannot be opened ({error}); use a local path or s3://") from error
    if not fs.async_impl:
        raise ConfigError(f"{root}: {protocol}:// is not supported; use a local path, s3:// or https://")
    return RemoteFiles(fs)


def _s3_arguments(options: Mapping[str, str], attempt_s: float) -> dict[str, Any]:
    unknown = set(options) - OPTIONS
    if unknown:
        raise ConfigError(f"storage_options: unknown {sorted(unknown)}; allowed: {sorted(OPTIONS)}")
    arguments: dict[str, Any] = {name: value for name, value in options.items() if name != "region"}
    if "region" in options:
        arguments["client_kwargs"] = {"region_name": options["region"]}
    waits = {"connect_timeout": min(3.0, attempt_s), "read_timeout": attempt_s}
    arguments["config_kwargs"] = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **waits}
    return {**arguments, "use_listings_cache": False, "skip_instance_cache": True}


def _line(error: BaseException) -> str:
    code = ""
    if isinstance(error.__cause__, botocore.exceptions.ClientError):  # s3fs keeps the store's own words in the cause
        code = error.__cause__.response.get("Error", {}).get("Code", "") + ": "
    return code + (" ".join(str(error).split()) or type(error).__name__)


def _version(info: Mapping[str, Any]) -> str:
    return str(info.get("ETag") or info.get("LastModified") or "").strip('"')
