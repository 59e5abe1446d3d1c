"""Checks at the start of a command, where it runs and before Ray starts: what validation elsewhere cannot know."""

from __future__ import annotations

import json
import os
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pydantic.fields

from videomac.config.base import Section
from videomac.config.places import Use
from videomac.errors import ConfigError
from videomac.facts.shipped import expand

S = TypeVar("S", bound=Section)

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the entry point of a submitted job; its value is JSON with the job's runtime environment."""
PACKAGE_FOLDER = "_ray_pkg_"
"""Prefix of the folder into which Ray unpacks an uploaded working folder, on each node, and which it later deletes."""


def refuse_throwaway_places(config: Section, environment: Mapping[str, str] | None = None) -> None:
    """Refuse places that would lie in the working folder of a submitted job.

    Raises:
        ConfigError: a place that is written, or the source of a build, is relative within a submitted job.
    """
    if not in_uploaded_folder(os.environ if environment is None else environment, Path.cwd()):
        return
    kept = [(key, place) for key, place, use in _places(config) if use is Use.WRITTEN or key.endswith("source")]
    kept.sort(key=lambda named: not named[0].endswith("storage"))  # first what other places follow from
    for key, place in kept:
        if is_relative(place):
            raise ConfigError(
                f"{key}: {place!r} is relative; in a submitted job it lies in the job's working folder, which Ray "
                f"deletes; give an absolute path on storage that all nodes share, or s3://..."
            )


def in_uploaded_folder(environment: Mapping[str, str], folder: Path) -> bool:
    """Return whether this is a submitted job that runs in a working folder of Ray's."""
    if any(part.startswith(PACKAGE_FOLDER) for part in folder.parts):
        return True
    try:
        job = json.loads(environment.get(JOB_VARIABLE, "{}"))
    except ValueError:
        return False
    return bool(isinstance(job, dict) and (job.get("runtime_env") or {}).get("working_dir"))


def is_relative(place: str) -> bool:
    """Return whether a place is a relative path; a URL is not."""
    return "://" not in place and not Path(place).is_absolute()


def with_absolute_places(config: S) -> S:
    """Return the configuration with every relative path below this process's working folder.

    Tasks on a cluster run in folders of their own, where a relative path means another place.
    """
    relative = {key: os.path.abspath(place) for key, place, _ in _places(config) if place and is_relative(place)}
    return config.with_values(**relative) if relative else config


def check_inputs(config: Section, key: str = "") -> None:
    """Check that every local place which the configuration reads is there; object stores are checked where opened.

    Args:
        config: a section; keys of all sections below it are checked.
        key: dotted key of the section, for messages.

    Raises:
        ConfigError: a file or folder does not exist.
    """
    for below, place, use in _places(config):
        path = expand(place)
        if use is Use.READ and "://" not in path and not Path(path).exists():
            raise ConfigError(f"{key}{'.' if key else ''}{below}: {place!r} does not exist{_looked_in(place)}")


def _looked_in(place: str) -> str:
    if "://" in place:
        return "; samples://clips and samples://davis ship with videomac"
    return f" (looked in {Path.cwd()})" if is_relative(place) else ""


def _places(section: Section, prefix: str = "") -> Iterator[tuple[str, str, Use]]:
    """Dotted key, value and use of every place below a section, except where the section sets it itself."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        for below, item in _items(name, value):
            if isinstance(item, Section):
                found = (place for place in _places(item, f"{below}.") if place[0] not in section.SET_ITSELF)
                yield from ((prefix + key, place, use) for key, place, use in found)
        for use in (note for note in _notes(field) if isinstance(note, Use) and isinstance(value, str)):
            yield f"{prefix}{name}", value, use


def _items(key: str, value: object) -> list[tuple[str, object]]:
    return [(f"{key}.{i}", item) for i, item in enumerate(value)] if isinstance(value, tuple) else [(key, value)]


def _notes(field: pydantic.fields.FieldInfo) -> list[object]:
    """Annotations of a field, also of the one type in `X | None`."""
    options = typing.get_args(field.annotation)
    return [*field.metadata, *(note for option in options for note in getattr(option, "__metadata__", ()))]
