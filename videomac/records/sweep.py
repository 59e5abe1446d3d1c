"""`results.json` of a sweep: `videomac tune` writes it, the sweep's page is drawn from it."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.records.base import Record
from videomac.records.provenance import MadeWith


class Trial(Record):
    """One trial of a sweep: a row of its table."""

    model_config = pydantic.ConfigDict(extra="ignore")

    name: str | None = None
    """Ray Tune's id of the trial, which is also the name of its run."""
    values: dict[str, pydantic.JsonValue] = {}
    """What the trial tried: dotted keys of the pretraining configuration, each with its value."""
    status: Literal["finished", "error"]
    """Whether the trial was trained and scored, or failed."""
    error: str | None = None
    """Last line of the trial's error."""
    scores: dict[str, float] = {}
    """The scores of the trial's task by name, and `probe`, the best score of its own probes."""
    run_folder: str | None = None
    """Folder of the trial's run; null if it failed."""
    seconds: float | None = None
    """Wall time of the trial."""


class Results(MadeWith):
    """The whole sweep."""

    name: str
    """Name of the sweep."""
    metric: str
    """The score that ranks the trials; larger is better."""
    best: str | None = None
    """Name of the best trial; null before any was scored."""
    trials: tuple[Trial, ...]
    """Scored trials with the best one first, then the others."""
