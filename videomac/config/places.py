"""Types of the keys that name a place, a path or a URL: what is done there decides what is checked before a command."""

from __future__ import annotations

import enum
import os
from typing import Annotated

import pydantic

from videomac.redaction import redacted

REVEAL = {"reveal_secrets": True}
"""Serialization context in which secrets and URLs are written out: for trees that stay in memory."""


class Use(enum.Enum):
    """What a command does at a place."""

    READ = "read"
    """It must exist when the command starts."""
    WRITTEN = "written"
    """It must outlive the command, so in a submitted job it must not be relative."""


def is_revealed(info: pydantic.SerializationInfo) -> bool:
    """Return whether a serializer may write secrets out."""
    return bool(info.context and info.context.get("reveal_secrets"))


def _shown(text: str, info: pydantic.SerializationInfo) -> str:
    return text if is_revealed(info) else redacted(text)


def _below_home(place: str) -> str:
    return os.path.expanduser(place) if place.startswith("~") else place


Place = Annotated[str, pydantic.AfterValidator(_below_home), pydantic.PlainSerializer(_shown)]
"""A path or URL, with ~ for a home folder; credentials in it are masked wherever the configuration is written out."""
InputPlace = Annotated[Place, Use.READ]
OutputPlace = Annotated[Place, Use.WRITTEN]
