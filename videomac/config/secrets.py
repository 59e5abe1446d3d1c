"""Access to an object store: secrets stay in memory and are never part of what is written or shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic

from videomac.config.base import Section
from videomac.config.messages import BadValueError
from videomac.config.places import Place, is_revealed
from videomac.errors import ConfigError
from videomac.redaction import MASK, redacted, remember

S = TypeVar("S", bound=Section)
SWITCHES = ("anonymous", "requester_pays")
SECRETS = ("key", "secret", "token")
Secret = Annotated[pydantic.SecretStr, pydantic.Field(min_length=1)]
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class StorageOptions(Section):
    """Access to `s3://`; what is not given comes from the AWS_* environment variables.

    Secrets are named by environment variables or a profile, or given inline. Files, logs and errors show an inline
    secret as `***`. Where such a file is read back, `***` means "not known here": the secret then comes from the
    command line or the environment of the command that reads it.
    """

    endpoint_url: Place | None = None
    """URL of the store's server; null: AWS_ENDPOINT_URL, else Amazon S3."""
    region: str | None = None
    """Region of the store; null: AWS_DEFAULT_REGION."""
    profile: str | None = None
    """Profile in `~/.aws`, read by every process that opens the store: each node needs it."""
    key_env: str | None = pydantic.Field(default=None, pattern=VARIABLE)
    """Environment variable that holds the access key id; only the machine that runs the command needs it."""
    secret_env: str | None = pydantic.Field(default=None, pattern=VARIABLE)
    """Environment variable that holds the secret access key."""
    token_env: str | None = pydantic.Field(default=None, pattern=VARIABLE)
    """Environment variable that holds the session token."""
    anonymous: bool | None = None
    """Send requests without credentials, for buckets that anybody may read."""
    requester_pays: bool | None = None
    """Let this account pay for requests and transfers, as some public buckets ask."""
    key: Secret | None = None
    """Access key id, inline: better name a variable, because shells and job logs keep command lines."""
    secret: Secret | None = None
    """Secret access key, inline."""
    token: Secret | None = None
    """Session token, inline."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_masks(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {name: value for name, value in tree.items() if not (name in SECRETS and value == MASK)}

    @pydantic.model_validator(mode="after")
    def _both_or_none(self) -> StorageOptions:
        given = {name for name in SECRETS if self._inline(name) is not None or self._variable(name) is not None}
        if self.anonymous and (given or self.profile or self.requester_pays):
            raise BadValueError("anonymous", "true leaves no room for credentials, a profile or requester_pays")
        if given and not {"key", "secret"} <= given:
            absent = "secret" if "key" in given else "key"
            raise BadValueError(absent, f"required beside {' and '.join(sorted(given))}; give {absent} or {absent}_env")
        for name in given:
            if (inline := self._inline(name)) is not None:
                remember(inline.get_secret_value())
        return self

    @pydantic.model_serializer(mode="plain")
    def _masked(self, info: pydantic.SerializationInfo) -> dict[str, str | bool]:
        values: dict[str, str | bool] = {}
        for name, value in self:
            if value is None:
                continue
            if is_revealed(info):
                values[name] = value.get_secret_value() if isinstance(value, pydantic.SecretStr) else value
            elif name not in SECRETS:
                values[name] = redacted(value) if isinstance(value, str) else value
            elif self._variable(name) is None:
                values[name] = MASK
        return values

    def resolved(self) -> dict[str, str]:
        """Return the options with secrets in clear, for the library that opens the store.

        Raises:
            ConfigError: an environment variable that is named here is not set.
        """
        found = {name: value for name in ("endpoint_url", "region", "profile") if (value := getattr(self, name))}
        found |= {name: "true" for name in SWITCHES if getattr(self, name)}
        return found | {name: value for name in SECRETS if (value := self._value(name)) is not None}

    def held(self, key: str = "storage_options") -> StorageOptions:
        """Return a copy that holds the values of its environment variables, for processes on other machines.

        Args:
            key: dotted key of this section, for messages.

        Raises:
            ConfigError: an environment variable that is named here is not set.
        """
        values = {name: self._value(name, key) for name in SECRETS}
        return self.model_copy(
            update={n: pydantic.SecretStr(value) for n, value in values.items() if value is not None}
        )

    def _inline(self, name: str) -> pydantic.SecretStr | None:
        return getattr(self, name)

    def _variable(self, name: str) -> str | None:
        return getattr(self, f"{name}_env")

    def _value(self, name: str, key: str = "storage_options") -> str | None:
        inline, variable = self._inline(name), self._variable(name)
        if inline is None and variable is None:
            return None
        value = os.environ.get(variable or "") if inline is None else inline.get_secret_value()
        if not value:
            raise ConfigError(
                f"{key}.{name}_env: the environment variable {variable} is not set; export it where the command runs"
            )
        remember(value)
        return value


Access = StorageOptions | Mapping[str, str] | None
"""Options as a configuration holds them, or plain ones with secrets in clear; None: all from the environment."""


def clear_options(access: Access) -> dict[str, str]:
    """Return plain options with secrets in clear, for the library that opens the store.

    Raises:
        ConfigError: an environment variable that a configuration names is not set.
    """
    return access.resolved() if isinstance(access, StorageOptions) else dict(access or {})


def hold_secrets(section: S, prefix: str = "") -> S:
    """Return the configuration with every secret that an environment variable holds, so that it can be sent to others.

    Args:
        section: a whole configuration, or a section of one.
        prefix: dotted key of the section and a dot, for messages.

    Raises:
        ConfigError: an environment variable that the configuration names is not set.
    """
    changed: dict[str, Section] = {}
    for name, value in section:
        if isinstance(value, Section):
            key = f"{prefix}{name}"
            held = value.held(key) if isinstance(value, StorageOptions) else hold_secrets(value, f"{key}.")
            if held is not value:
                changed[name] = held
    return section.model_copy(update=changed) if changed else section
