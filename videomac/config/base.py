"""What every section of a configuration is, and how one is read: YAML file, then dotted overrides, then checks.

A configuration is a tree of frozen pydantic models. Values are checked in pydantic's JSON mode, strictly: a YAML list
passes as a tuple, a string never passes as a number. PyYAML reads `3e-4` (no dot) as a string: the error says so.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from videomac.errors import ConfigError
from videomac.facts.shipped import locate

S = TypeVar("S", bound="Section")


class Section(pydantic.BaseModel):
    """One section of a configuration: immutable, strict, unknown keys refused, each field documented below it."""

    model_config = pydantic.ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @classmethod
    def completed(cls, tree: dict[str, Any]) -> dict[str, Any]:
        """Hook: fills in plain values that follow from others, before the tree is checked."""
        return tree

    def canonical_json(self) -> str:
        """The resolved values as JSON with sorted keys: what `config_hash` hashes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def config_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the resolved values."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The resolved values as YAML, in the order of declaration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)

    def with_values(self: S, **dotted: Any) -> S:
        """A checked copy with some values replaced: `with_values(**{"data.manifest": "..."})`."""
        tree = self.model_dump(mode="json")
        for key, value in dotted.items():
            _assign(tree, key, value)
        return validate(type(self), tree, origin="override")


def load(schema: type[S], path: str | None = None, overrides: typing.Sequence[str] = ()) -> S:
    """Reads `path` (YAML; none: defaults only), applies `a.b=value` overrides (values in YAML) and checks the result.

    Raises:
        ConfigError: one line with the dotted path of the first mistake, what came and what is allowed.
    """
    tree = read_yaml(path) if path is not None else {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"override {override!r}: expected key=value, as in run.seed=1")
        _assign(tree, key, _parse_value(key, text))
    return validate(schema, tree, origin=str(path) if path else "command line")


def read_yaml(path: str) -> dict[str, Any]:
    """A YAML file's mapping; `path` is looked up in the working directory, then among the shipped configs.

    Raises:
        ConfigError: missing file, YAML that cannot be parsed, or a file that holds no mapping.
    """
    found = locate(path)
    try:
        tree = yaml.safe_load(Path(found).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {type(tree).__name__}")
    return tree


def validate(schema: type[S], tree: dict[str, Any], origin: str) -> S:
    """Checks a tree of plain values against `schema`.

    Raises:
        ConfigError: one line about the first mistake; `origin` says where the tree came from.
    """
    try:
        return schema.model_validate_json(json.dumps(schema.completed(copy.deepcopy(tree))))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(schema, error)}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: a value is no plain YAML scalar, list or mapping ({error})") from error


def differing_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines `a.b: old -> new` for every leaf in which two resolved configurations (as plain trees) differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differing_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return lines


def _parse_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"override {key}={text}: the value is not valid YAML ({' '.join(str(error).split())})"
        ) from error


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    node = tree
    for name in parents:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {dotted}: {name!r} is a value, not a section")
    node[leaf] = value


def _explain(schema: type[Section], error: pydantic.ValidationError) -> str:
    details, count = error.errors(), error.error_count()
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])  # a typo explains what is missing
    where = _dotted(first["loc"])
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{where}{': ' if where else ''}{_complaint(schema, first)}{more}"


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _complaint(schema: type[Section], detail: Any) -> str:
    kind, value = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(schema, detail['loc'])}"
    if kind == "missing":
        return "required, but not given; set it in the file or as key=value"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return message
    shown = json.dumps(value)
    hint = _number_hint(value) if kind.startswith(("float", "int")) else ""
    return f"expected {message}, got {shown if len(shown) <= 80 else shown[:77] + '...'} ({_type_name(value)}){hint}"


def _type_name(value: Any) -> str:
    names: dict[type, str] = {dict: "mapping", list: "list", str: "string", types.NoneType: "null"}
    return names.get(type(value), type(value).__name__)


def _number_hint(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    mantissa, exponent, power = value.lower().partition("e")
    written = f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}" if exponent else f"{number:g}"
    return f"; YAML reads {value} as a string: write {written}"


def _suggestion(schema: type[Section], location: tuple[int | str, ...]) -> str:
    fields = _fields_at(schema, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), fields, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(fields)}" if fields else ""


def _fields_at(schema: type[Section], location: tuple[int | str, ...]) -> list[str]:
    model: Any = schema
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        model = section_type(fields[part].annotation)
    return list(getattr(model, "model_fields", {}))


def section_type(annotation: Any) -> Any:
    """The `Section` class inside an annotation such as `Model | None`, else None."""
    options = typing.get_args(annotation) or (annotation,)
    return next((t for t in options if isinstance(t, type) and issubclass(t, Section)), None)
