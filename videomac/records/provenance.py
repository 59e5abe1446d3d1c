"""What a result was made with; the results of the quickstart and of a sweep end with these fields."""

from __future__ import annotations

import pydantic

from videomac.records.base import Record


class MadeWith(Record):
    """Configuration, code, libraries and machine of a result. Keys of other versions of the program are ignored."""

    model_config = pydantic.ConfigDict(extra="ignore")

    config_hash: str | None = None
    """First 12 hex digits of the SHA-256 of the resolved configuration."""
    commit: str | None = None
    """Git commit of the code, with `+` for uncommitted changes; null for an installed wheel."""
    versions: dict[str, str] = {}
    """Version of each library that the result depends on."""
    machine: str | None = None
    """Cores, processor, system and Python of the driver."""
