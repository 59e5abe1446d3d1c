"""Files of an object store, through s3fs or another asynchronous fsspec file system: one attempt per call.

Why not pyarrow: it returns a body of full length with wrong bytes where the store sent a short one.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
import botocore.exceptions
import fsspec

from videomac.errors import ConfigError
from videomac.storage import s3fs_internals as client
from videomac.storage.checksums import contradicts_etag, pieces_of_file, sha256_of, sha256_of_file
from videomac.storage.entries import Advice, ChangedError, Content, Damaged, Entry, Patience

FAULTS: tuple[type[BaseException], ...] = (
    Damaged,
    OSError,
    asyncio.TimeoutError,
    aiohttp.ClientError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)
"""Everything that an attempt may raise; `except OSError` alone misses resets, truncation and missing credentials."""
NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ProfileNotFound,
)
FOR_GOOD = (
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    *NO_CREDENTIALS,
    botocore.exceptions.ParamValidationError,
)
"""Faults that no further attempt mends."""
BROKEN_UPLOADS = ("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch")
"""Codes of an upload that did not arrive as it was sent: s3fs makes the same error of them as of a bad argument."""
CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409")
"""Codes of a conditional write that found another version, or no object."""
UNREACHABLE = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.EndpointConnectionError,
    aiohttp.ClientError,
    ConnectionError,
)
"""Faults of the connection, from refused to broken off."""
SLOWEST_BYTES_PER_S = 1 << 20
"""A transfer slower than this, beyond `Patience.attempt_s`, is given up and tried again."""
OPTIONS = {"endpoint_url", "key", "secret", "token", "region", "profile", "anonymous", "requester_pays"}
"""Known storage options of S3; the last two are switches, on if given."""


MOST_WITHOUT_RANGES = 64 << 20
"""Largest file that is read from a web server without ranges: it comes as a whole for each piece of 8 MiB."""


class ObjectFiles:
    """Objects below a URL (`videomac.storage.files.Files`)."""

    remote = True
    faults: tuple[type[BaseException], ...] = FAULTS

    def __init__(self, root: str, options: Mapping[str, str], patience: Patience) -> None:
        self._root, self._patience = root, patience
        self._fs = _filesystem(root, options, patience.attempt_s)
        self._etags_are_checksums = True
        self._refused: dict[str, str] = {}
        """Name -> SHA-256 of content that its ETag contradicted."""

    def local_path(self, name: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Return None: nothing lies on this machine."""
        return None

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`.

        Raises:
            ConfigError: a web server sends the whole of a large file whatever range is asked for.
        """
        content = client.read_range(self._fs, self._url(name), start, start + length, self._limit_s(length))
        return content if len(content) <= length else self._part_of_whole(name, content, start, length)

    def _part_of_whole(self, name: str, content: bytes, start: int, length: int) -> bytes:
        """Return the range of a file that came as a whole, from a web server that knows no ranges."""
        if not self._root.startswith(("http://", "https://")):
            raise Damaged(f"{len(content)} bytes came for {length}")
        if len(content) > MOST_WITHOUT_RANGES:
            raise ConfigError(
                f"{self._url(name)}: the server sends the whole file ({len(content) >> 20} MiB) for every range; "
                "download the file and give the copy"
            )
        return content[start : start + length]

    def read_whole(self, name: str) -> bytes:
        """Return the whole object, of the length and (where it is one) the checksum that the store has of it."""
        entry = self.entry(name)
        content = self.read(name, 0, entry.size)
        if len(content) != entry.size:
            raise Damaged(f"{len(content)} bytes came for {entry.size}")
        self._check_etag(entry, (content,), sha256_of(content))
        return content

    def entry(self, name: str) -> Entry:
        """Return size and ETag."""
        about = client.info(self._fs, self._url(name), self._patience.attempt_s)
        if about.get("type") == "directory":
            raise FileNotFoundError(errno.ENOENT, "a prefix, not an object", self._url(name))
        return Entry(name, int(about["size"] or 0), _version(about))

    def is_folder(self, name: str) -> bool:
        """Return whether anything lies below the prefix."""
        try:
            return client.info(self._fs, self._url(name), self._patience.attempt_s).get("type") == "directory"
        except FileNotFoundError:
            return False

    def list(self, folder: str) -> list[Entry]:
        """Return every object below a prefix; many thousands are many requests, all within the deadline."""
        found = client.find(self._fs, self._url(folder), max(self._patience.deadline_s, self._patience.attempt_s))
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing below this prefix", self._url(folder))
        above = f"{folder}/" if folder else ""
        return [Entry(f"{above}{name}", int(about["size"]), _version(about)) for name, about in found.items()]

    def write(self, name: str, content: bytes) -> None:
        """Replace an object in one request."""
        client.put_bytes(self._fs, self._url(name), content, self._limit_s(len(content)))

    def upload(self, name: str, local_path: str) -> None:
        """Replace an object in one request."""
        client.put_file(self._fs, self._url(name), local_path, self._limit_s(os.path.getsize(local_path)))

    def remove(self, name: str) -> None:
        """Remove an object."""
        client.remove(self._fs, self._url(name), self._patience.attempt_s)

    def version(self, name: str) -> str:
        """Return the ETag."""
        return self.entry(name).version

    def swap(self, name: str, content: bytes | None, version: str | None) -> str | None:
        """Write by a conditional put. A server that ignores conditions lets both of two writers through.

        Removing is not conditional everywhere: another writer may come between the comparison and the removal.
        """
        if content is None:
            return self._remove_version(name, version)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": f'"{version}"'}
        try:
            etag = client.put_bytes(self._fs, self._url(name), content, self._limit_s(len(content)), **condition)
        except (OSError, botocore.exceptions.ClientError) as error:
            if client.store_code(error) in CONFLICTS:
                raise ChangedError from error
            raise
        return etag.strip('"') if etag else self.version(name)

    def _remove_version(self, name: str, version: str | None) -> None:
        try:
            found = self.version(name)
        except FileNotFoundError:
            found = None
        if found != version:
            raise ChangedError
        if found is not None:
            self.remove(name)

    def check_copy(self, entry: Entry, path: str) -> None:
        """Raise `Damaged` if the copy has not the ETag of the object."""
        self._check_etag(entry, pieces_of_file(path), sha256_of_file(path))

    def may_pass(self, error: BaseException) -> bool:
        """Return whether another attempt may succeed: not for what is missing, refused or malformed."""
        if isinstance(error, FOR_GOOD):
            return False
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            return client.store_code(error) in BROKEN_UPLOADS
        return isinstance(error, FAULTS)

    def explain(self, error: BaseException, advice: Advice) -> str:
        """Return what went wrong and what to set or look at."""
        if isinstance(error, Damaged):
            return f"{error}; {advice.damaged or 'look at the store and at proxies before it, then try again'}"
        return f"{_reason(error, advice)} ({_text(error)})"

    def _check_etag(self, entry: Entry, pieces: Iterable[Content], sha256: str) -> None:
        """Refuse content that its ETag contradicts; the same content a second time shows that ETags aren't checksums.

        They are not where the store encrypts with a key of its own, for example.
        """
        if not self._etags_are_checksums or not contradicts_etag(pieces, entry.version):
            return
        if self._refused.get(entry.name) == sha256:
            self._etags_are_checksums = False
            return
        self._refused[entry.name] = sha256
        raise Damaged(f"the content does not have the store's checksum, ETag {entry.version}")

    def _url(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _limit_s(self, size: int) -> float:
        return self._patience.attempt_s + size / SLOWEST_BYTES_PER_S


def _filesystem(root: str, options: Mapping[str, str], attempt_s: float) -> Any:
    protocol = root.partition("://")[0]
    if protocol in ("s3", "s3a"):
        return client.OneAttemptS3(**_s3_arguments(options, attempt_s))
    try:
        fs = fsspec.filesystem(protocol, **options)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{root}: cannot be opened ({error}); use a local path or s3://") from error
    if not fs.async_impl:
        raise ConfigError(f"{root}: {protocol}:// is not supported; use a local path, s3:// or https://")
    return fs


def _s3_arguments(options: Mapping[str, str], attempt_s: float) -> dict[str, Any]:
    unknown = set(options) - OPTIONS
    if unknown:
        raise ConfigError(f"storage_options: unknown {sorted(unknown)}; allowed: {sorted(OPTIONS)}")
    arguments: dict[str, Any] = {
        name: value for name, value in options.items() if name not in ("region", "anonymous", "requester_pays")
    }
    arguments |= {"anon": "anonymous" in options, "requester_pays": "requester_pays" in options}
    if "region" in options:
        arguments["client_kwargs"] = {"region_name": options["region"]}
    waits = {"connect_timeout": min(3.0, attempt_s), "read_timeout": attempt_s}
    arguments["config_kwargs"] = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **waits}
    return {**arguments, "use_listings_cache": False, "skip_instance_cache": True}


def _reason(error: BaseException, advice: Advice) -> str:
    def either(text: str, more: str) -> str:
        return f"{text}, or {more}" if more else text

    if isinstance(error, botocore.exceptions.ProfileNotFound):
        return "no such profile on this machine; add it to ~/.aws/credentials on every node"
    if isinstance(error, NO_CREDENTIALS):
        return either("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", advice.access)
    if isinstance(error, FileNotFoundError):
        return either("does not exist; check bucket, prefix and AWS_ENDPOINT_URL", advice.missing)
    if isinstance(error, PermissionError):
        keys = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
        return either(f"denied (403); check {keys}", advice.access)
    if isinstance(error, asyncio.TimeoutError):
        return either("no answer in time; check that the store is up and reachable", advice.slow)
    if isinstance(error, UNREACHABLE):
        return either("the server cannot be reached or broke off; check AWS_ENDPOINT_URL", advice.access)
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        return "the store refuses the request; check the URL and AWS_DEFAULT_REGION"
    return "the store fails; try again later, or look at its own logs"


def _text(error: BaseException) -> str:
    code = client.store_code(error)
    return (f"{code}: " if code else "") + (" ".join(str(error).split()) or type(error).__name__)


def _version(about: Mapping[str, Any]) -> str:
    return str(about.get("ETag") or about.get("LastModified") or "").strip('"')
