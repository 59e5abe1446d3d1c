"""Errors that a user can act on: each message says what, where, what was expected and what to do next.

The command line prints the message of a `VideomacError` as one line and exits with its `exit_code`; any other
exception is a bug and keeps its traceback. Secrets in a message are masked when the error is made.
"""

from __future__ import annotations

from typing import TypeVar

from videomac.redaction import redacted

E = TypeVar("E", bound="VideomacError")


class VideomacError(Exception):
    """Base of every error that a user can act on. Errors cross processes whole, as pickles of their own class."""

    exit_code = 1
    """Exit code of the command that the error ends."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(redacted(part) if isinstance(part, str) else part for part in arguments))

    def restated(self: E, message: str) -> E:
        """Return an error of the same class with another message."""
        return type(self)(message)


class ConfigError(VideomacError):
    """A configuration that cannot be run: unknown key, wrong type, impossible value, missing path."""

    exit_code = 2


class DataError(VideomacError):
    """Shards, a manifest, an index or videos that cannot be used, or too many bad clips."""


class StorageError(VideomacError):
    """A file system or object store that refuses access, lacks a file, or keeps failing after all retries."""


class MissingFileError(StorageError):
    """A file or folder that does not exist; the message says what was expected there."""


class DamagedFileError(StorageError):
    """A file whose content still differs from its checksum or length after all retries."""


class CheckpointError(VideomacError):
    """A checkpoint or weights file that is damaged, or that belongs to a different model or configuration."""


class ExportError(VideomacError):
    """A network that cannot be exported in the format asked for, or an export that differs from its source."""


class EvaluationError(VideomacError):
    """A labelled data set that cannot be read or scored."""


class TrainingError(VideomacError):
    """Training that cannot continue: a non-finite loss, too many bad rows, workers lost too often."""


class ClusterError(VideomacError):
    """A Ray cluster that cannot be reached or that lacks what the configuration asks for."""


def our_cause(error: BaseException | None) -> VideomacError | None:
    """Return the outermost error of ours among an exception and its causes.

    Ray keeps a task's error in `cause`, and gives its own error the task's class as a second base: of the two only the
    task's error crosses processes.
    """
    while error is not None:
        inside = getattr(error, "cause", None)
        if isinstance(error, VideomacError) and not isinstance(inside, VideomacError):
            return error
        error = inside or error.__cause__
    return None
