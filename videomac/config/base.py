"""What a section of a configuration is, and how one is read: YAML file, then dotted overrides, then checks.

A configuration is a tree of frozen pydantic models. Values are checked in pydantic's JSON mode, strictly: a YAML list
passes as a tuple, a string never passes as a number. PyYAML reads `3e-4` (no dot) as a string: the error says so.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pydantic
import yaml

from videomac.config.messages import ACCESS, BadValueError, explain
from videomac.config.places import REVEAL
from videomac.errors import ConfigError
from videomac.facts.shipped import locate
from videomac.redaction import redacted

S = TypeVar("S", bound="Section")
Tree = dict[str, Any]
"""A configuration as plain values by key, as YAML and JSON hold it; only `validate` knows what it ought to be."""


class Section(pydantic.BaseModel):
    """One section of a configuration: immutable, strict, unknown keys refused, each field documented below it."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may be a secret; our own messages show what is not
    )

    SET_ITSELF: ClassVar[frozenset[str]] = frozenset()
    """Dotted keys below this section that it sets itself, whatever the file says: nobody checks the places there."""

    @classmethod
    def completed(cls, tree: Tree) -> Tree:
        """Hook: fill in plain values that follow from others, before the tree is checked."""
        return tree

    def plain(self) -> Tree:
        """Return the resolved values as plain JSON values, secrets masked: what files and logs may hold."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """Return the resolved values as JSON with sorted keys, without access options: what `config_hash` hashes."""
        return json.dumps(without_access(self.plain()), sort_keys=True, separators=(",", ":"))

    def config_hash(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of the resolved values."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """Return the resolved values as YAML in the order of declaration, secrets masked."""
        return yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True, width=120)

    def with_values(self: S, **dotted: Any) -> S:
        """Return a checked copy with some values replaced: `with_values(**{"data.manifest": "..."})`."""
        tree = self.model_dump(mode="json", context=REVEAL)
        for key, value in dotted.items():
            _assign(type(self), tree, key, value)
        return validate(type(self), tree, origin="override")

    def __repr__(self) -> str:
        return redacted(super().__repr__())

    def __str__(self) -> str:
        return redacted(super().__str__())


def load(schema: type[S], path: str | None = None, overrides: typing.Sequence[str] = ()) -> S:
    """Read `path` (YAML; none: defaults only), apply `a.b=value` overrides (values in YAML) and check the result.

    Raises:
        ConfigError: one line with the dotted path of the first mistake, the value found and what is allowed.
    """
    tree = read_yaml(path) if path is not None else {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"override {override!r}: expected key=value, as in run.seed=1")
        _assign(schema, tree, key, _parse_value(key, text))
    return validate(schema, tree, origin=str(path) if path else "command line")


def read_yaml(path: str) -> Tree:
    """Return a YAML file's mapping; `path` is looked up in the working folder, then among the shipped configs.

    Raises:
        ConfigError: the file is missing, is not valid YAML, or does not hold a mapping.
    """
    found = locate(path)
    try:
        tree = yaml.safe_load(Path(found).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_where(error)}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {type(tree).__name__}")
    return tree


def validate(schema: type[S], tree: Tree, origin: str) -> S:
    """Check a tree of plain values against `schema`.

    Raises:
        ConfigError: one line about the first mistake; `origin` says where the tree came from.
    """
    try:
        return schema.model_validate_json(json.dumps(schema.completed(copy.deepcopy(tree))))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{origin}: {explain(schema, error)}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: a value is not a plain YAML scalar, list or mapping ({error})") from error


def filled(schema: type[Section], tree: Tree) -> Tree:
    """Return the tree with the defaults of keys that it lacks: what an older version left out meant just that.

    Keys without a default stay absent, and so do those whose default is null: `differing_keys` takes them as equal.
    """
    complete = dict(tree)
    for name, field in schema.model_fields.items():
        inner = section_type(field.annotation)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if name not in complete and default is not None:
            complete[name] = default.plain() if isinstance(default, Section) else _json_value(default)
        elif inner is not None and isinstance(complete.get(name), dict):
            complete[name] = filled(inner, complete[name])
    return complete


def without_access(tree: Tree) -> Tree:
    """Return the tree with empty access options: how data is reached changes nothing that is computed from it."""
    return {
        key: {} if key == ACCESS else without_access(value) if isinstance(value, dict) else value
        for key, value in tree.items()
    }


def differing_keys(old: Tree, new: Tree, prefix: str = "") -> list[str]:
    """Return a line `a.b: old -> new` for every leaf in which two resolved configurations (plain trees) differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differing_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(redacted(f"{prefix}{key}: {before!r} -> {after!r}"))
    return lines


@contextlib.contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Turn a `ConfigError` about plain facts into a refusal of `key`, a key below the section that is being checked."""
    try:
        yield
    except ConfigError as error:
        raise BadValueError(key, str(error)) from error


def section_type(annotation: Any) -> Any:
    """Return the `Section` class inside an annotation such as `Model | None`, else None."""
    options = typing.get_args(annotation) or (annotation,)
    return next((t for t in options if isinstance(t, type) and issubclass(t, Section)), None)


def _parse_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {key}: the value is not valid YAML: {_where(error)}") from error


def _where(error: yaml.YAMLError) -> str:
    """Return what is wrong and where, without the text around it, which may hold a secret."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or 'a character that YAML does not allow'}{place}"


def _assign(schema: type[Section], tree: Tree, dotted: str, value: Any) -> None:
    """Put a value where a dotted key points; below a mapping with free keys, the rest of the key is one key."""
    names, section = dotted.split("."), schema
    for number, name in enumerate(names[:-1]):
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override {dotted}: {name!r} is a value, not a section")
        field = section.model_fields.get(name) if section is not None else None
        if field is not None and typing.get_origin(field.annotation) is dict:
            names = [*names[: number + 1], ".".join(names[number + 1 :])]
            break
        section = section_type(field.annotation) if field is not None else None
    tree[names[-1]] = value


def _json_value(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda item: item.plain()))
