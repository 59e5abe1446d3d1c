"""What is said of a wrong configuration: one line with the dotted key, the value found and what is allowed."""

from __future__ import annotations

import json
import re
import types
import typing
from typing import Any

import pydantic

from videomac.facts.names import did_you_mean
from videomac.redaction import MASK, redacted

SHOWN_CHARACTERS = 80
"""Longer values are cut in messages."""
PYDANTIC_OPENING = re.compile(r"^(Value error, |[A-Z]\w+ should (be|have|match) )")
"""What pydantic's messages start with, where ours say `expected`."""
ACCESS = "storage_options"
"""Values below this key are never shown: they may be secrets, or secrets in the wrong place."""


class BadValueError(ValueError):
    """A value that a section's own check refuses."""

    def __init__(self, key: str, message: str) -> None:
        """Blame `key`, a dotted key below the section whose check raises this."""
        super().__init__(message)
        self.key = key


def explain(schema: type[pydantic.BaseModel], error: pydantic.ValidationError) -> str:
    """Return one line about the first mistake; a misspelt key first, because it explains what is missing."""
    details, count = error.errors(), error.error_count()
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    where = ".".join([str(part) for part in first["loc"]] + _blamed_key(first))
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{where}{': ' if where else ''}{_complaint(schema, first)}{more}"


def _blamed_key(detail: Any) -> list[str]:
    cause = detail.get("ctx", {}).get("error")
    return [cause.key] if isinstance(cause, BadValueError) and cause.key else []


def _complaint(schema: type[pydantic.BaseModel], detail: Any) -> str:
    kind, value = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{_suggested_key(schema, detail['loc'])}"
    if kind == "missing":
        return "required, but not given; set it in the file or as key=value"
    message = PYDANTIC_OPENING.sub("", detail["msg"])
    if kind == "value_error":
        return message
    if ACCESS in detail["loc"]:
        return f"expected {message}, got {MASK} ({_type_name(value)})"
    hint = _number_hint(value) if kind.startswith(("float", "int")) else ""
    if kind == "literal_error" and isinstance(value, str):
        hint = did_you_mean(value, re.findall(r"'([^']*)'", message))
    return f"expected {message}, got {_short(value)} ({_type_name(value)}){hint}"


def _short(value: Any) -> str:
    shown = redacted(json.dumps(value, default=str))
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 3] + "..."


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


def _suggested_key(schema: type[pydantic.BaseModel], location: tuple[int | str, ...]) -> str:
    fields = _fields_at(schema, location[:-1])
    known = f" (known here: {', '.join(fields)})" if fields else ""
    return did_you_mean(str(location[-1]), fields) + known


def _fields_at(schema: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at a location; an index means one of a list of sections."""
    model = schema
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = _model_within(field.annotation)
    return list(getattr(model, "model_fields", {}))


def _model_within(annotation: Any) -> Any:
    """Return the model in an annotation such as `Model | None` or `tuple[Model, ...]`, else None."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next(filter(None, map(_model_within, typing.get_args(annotation))), None)
