"""Lines of events.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videomac.errors import VideomacError
from videomac.records import events

OLD = Path(__file__).parents[2] / "fixtures/run_66eb288/events.jsonl"


def test_events_of_version_66eb288_are_read_and_written_as_they_were():
    read = [events.parse_event(line, "events.jsonl") for line in OLD.read_text().splitlines()]

    assert [json.loads(event.to_json()) for event in read] == [
        json.loads(line) for line in OLD.read_text().splitlines()
    ]
    kinds = [events.Attempt, events.WorkerStarted, events.WorkerStarted, events.DecoderStarted, events.DecoderStarted]
    assert [type(event) for event in read] == [*kinds, events.CheckpointWritten]


def test_every_kind_of_event_is_found_by_its_name():
    assert len(events.BY_NAME) == len(events.EVENTS)
    event = events.BadRow(g=3, reason="no_pair", key="clip", time=1.0, step=2)
    assert list(json.loads(event.to_json())) == ["event", "time", "step", "g", "reason", "key", "shard"]
    assert events.parse_event(event.to_json(), "events.jsonl") == event


@pytest.mark.parametrize("content", ['{"event": "moon", "time": 1.0, "phase": "full"}', '{"event": "bad_row", "g": 1}'])
def test_an_event_of_another_version_keeps_its_details(content):
    event = events.parse_event(content, "events.jsonl")

    assert type(event) is events.Event
    assert event.details() == {key: value for key, value in json.loads(content).items() if key not in ("event", "time")}


def test_anything_else_is_an_error_that_names_the_file():
    with pytest.raises(VideomacError, match=r"events\.jsonl: not a Event record: event"):
        events.parse_event('{"g": 1}', "events.jsonl")


def test_the_table_of_events_in_the_docs_is_the_records():
    docs = (Path(__file__).parents[3] / "docs/training.md").read_text()

    assert f"<!-- events -->\n{events.event_table()}\n<!-- end -->" in docs
