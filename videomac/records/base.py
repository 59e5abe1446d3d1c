"""What every record is: frozen, every field documented, JSON out and in by one definition.

A writer builds the record, so that a missing or misspelled field is a type error; a reader gets the record back and
reads fields by name. NaN and infinity are written as null, because JSON has neither.
"""

from __future__ import annotations

import json
import math
import types
import typing
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic

from videomac.errors import VideomacError

R = TypeVar("R", bound="Record")
Number = Annotated[float, pydantic.BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float that may be NaN or infinite, which is written as null and read back as NaN."""


class Record(pydantic.BaseModel):
    """One record: immutable, unknown fields refused; each field is documented in the string below it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    omits_unset: ClassVar[bool] = False
    """Whether fields that nobody has set are left out instead of being written with their defaults."""

    def to_json(self, indent: int | None = None) -> bytes:
        """UTF-8 JSON in the order of declaration; non-finite numbers become null."""
        plain = self.model_dump_json(
            indent=indent, by_alias=True, exclude_unset=self.omits_unset
        )  # pydantic writes NaN and infinity as null
        return plain.encode()

    def to_plain(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return json.loads(self.to_json())

    @classmethod
    def from_json(cls: type[R], content: bytes | str, origin: str, error: type[VideomacError] = VideomacError) -> R:
        """The record in `content`.

        Args:
            content: what `to_json` wrote.
            origin: path or URL of the file, for the message.
            error: class of the exception.

        Raises:
            VideomacError: (or `error`) not JSON, or not this record; the message names the file and the field.
        """
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as invalid:
            found = invalid.errors(include_url=False)[0]
            where = ".".join(map(str, found["loc"]))
            raise error(
                f"{origin}: not a {cls.__name__} record: {where}{': ' if where else ''}{found['msg']} "
                f"(found {str(found.get('input'))[:40]!r})"
            ) from invalid


def field_table(record: type[Any]) -> str:
    """A Markdown table of the record's fields: name, type, meaning. The docs hold these tables; a test compares."""
    rows = ["| field | type | meaning |", "|---|---|---|"]
    fields = getattr(record, "model_fields", None) or record.__pydantic_fields__  # a model, or a pydantic dataclass
    for name, field in fields.items():
        kind = _type_text(field.annotation).replace("|", "\\|")
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{field.alias or name}` | {kind} | {meaning} |")
    return "\n".join(rows)


def _type_text(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_text(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type_text, arguments))
    if annotation in (None, types.NoneType):
        return "null"
    if annotation is ...:
        return "..."
    name = getattr(origin or annotation, "__name__", None)
    if name is None or origin is typing.Literal:
        return str(annotation).replace("typing.", "")
    return f"{name}[{', '.join(map(_type_text, arguments))}]" if arguments else name
