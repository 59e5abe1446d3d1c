"""The lines of events.jsonl: a class for each kind of event."""

# Records are frozen, so a class may narrow `event` to its one word:
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.errors import VideomacError
from videomac.records.base import Record

FILE = "events.jsonl"


class Event(Record):
    """What every event has."""

    model_config = pydantic.ConfigDict(extra="allow")  # an event of another version keeps its details

    event: str
    """Kind of event."""
    time: float = 0.0
    """Seconds since 1970."""
    step: int = 0
    """Steps done when it happened."""

    def details(self) -> dict[str, object]:
        """Return the fields that this kind of event has beside those of all events."""
        return self.model_dump(exclude=set(Event.model_fields))


class Attempt(Event):
    """An attempt starts."""

    event: Literal["attempt"] = "attempt"
    """Kind of event."""
    attempt: int
    """Number of the attempt, from 1."""
    rows: int
    """Rows of the plan used before it."""
    describes: str
    """The derived numbers in words."""


class WorkerStarted(Event):
    """A worker of the attempt."""

    event: Literal["worker"] = "worker"
    """Kind of event."""
    pid: int
    """Process of the worker."""
    rank: int
    """Its rank."""
    host: str
    """Name of its machine."""


class DecoderStarted(Event):
    """A decode actor of the attempt."""

    event: Literal["decoder"] = "decoder"
    """Kind of event."""
    pid: int
    """Process of the actor."""


class BadRow(Event):
    """A row without pixels."""

    event: Literal["bad_row"] = "bad_row"
    """Kind of event."""
    g: int
    """Number of the row in the plan."""
    reason: str
    """Why it is bad (docs/data.md)."""
    key: str
    """Key of its clip."""
    shard: str = ""
    """The shard that is damaged, where that is the reason."""


class CheckpointWritten(Event):
    """A checkpoint is written and its upload has started."""

    event: Literal["checkpoint"] = "checkpoint"
    """Kind of event."""
    name: str
    """Name of its folder in `checkpoints/`."""
    write_s: float
    """Seconds that the training stood still for it."""


class DamagedCheckpoint(Event):
    """A checkpoint is passed over when the run resumes."""

    event: Literal["damaged_checkpoint"] = "damaged_checkpoint"
    """Kind of event."""
    message: str
    """What is wrong with it."""


class Preemption(Event):
    """A node is going to be taken away."""

    event: Literal["preemption"] = "preemption"
    """Kind of event."""
    deadline_ms: int | None
    """When, in milliseconds since 1970; null: unknown."""
    ranks: list[int]
    """Ranks of the workers on it."""


class WriterLost(Event):
    """TensorBoard, MLflow or W&B failed and is given up; training goes on."""

    event: Literal["writer_lost"] = "writer_lost"
    """Kind of event."""
    writer: str
    """Class of the writer."""
    message: str
    """What it raised."""


class Stopped(Event):
    """The run ends early."""

    event: Literal["stopped"] = "stopped"
    """Kind of event."""
    error: str
    """Class of the error."""
    message: str
    """Its message, with the name of the last good checkpoint."""


EVENTS: tuple[type[Event], ...] = (
    Attempt, WorkerStarted, DecoderStarted, BadRow, CheckpointWritten, DamagedCheckpoint, Preemption, WriterLost,
    Stopped,
)  # fmt: skip
"""Every kind of event, in the order of the docs."""
BY_NAME: dict[str, type[Event]] = {str(kind.model_fields["event"].default): kind for kind in EVENTS}


def parse_event(content: bytes | str, origin: str) -> Event:
    """Return the event in `content`; one of another version, in kind or in fields, is a plain `Event`.

    Raises:
        VideomacError: not an event; the message names `origin` and the field.
    """
    event = Event.from_json(content, origin)
    try:
        return BY_NAME.get(event.event, Event).from_json(content, origin)
    except VideomacError:
        return event


def event_table() -> str:
    """Return a Markdown table of all kinds of events, which the docs hold and a test compares."""
    rows = ["| event | meaning | further fields |", "|---|---|---|"]
    for kind in EVENTS:
        own = {name: field for name, field in kind.model_fields.items() if name not in Event.model_fields}
        fields = "; ".join(f"`{name}`: {' '.join((field.description or '').split())}" for name, field in own.items())
        rows.append(f"| `{kind.model_fields['event'].default}` | {(kind.__doc__ or '').strip()} | {fields} |")
    return "\n".join(rows)
