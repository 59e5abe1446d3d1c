"""`results.json` of a quickstart: stages, numbers and scores. The page of its run shows the stages."""

from __future__ import annotations

import pydantic

from videomac.records.base import Record
from videomac.records.provenance import MadeWith


class FeatureScores(Record):
    """Scores of one set of features."""

    model_config = pydantic.ConfigDict(extra="ignore")

    label: str
    """Name of the set in tables."""
    source: str | None = None
    """Where the features come from: `export`, `random`, `raw_colour`, ..."""
    stage: int | None = None
    """Stage of the network; null for raw pixels."""
    scores: dict[str, float | None] = {}
    """Scores over all clips by name."""
    clips: dict[str, dict[str, float | None]] = {}
    """The same scores for each clip."""


class Summary(Record):
    """The numbers of a run."""

    model_config = pydantic.ConfigDict(extra="ignore")

    training: dict[str, int | float] = {}
    """Last values of the step, the rows used, the losses and the share of time waiting for data; median speed."""
    ms_per_pair: dict[str, float] = {}
    """Wall milliseconds of a pair and how they divide."""
    data: dict[str, int] = {}
    """Counts of clips, pairs, bad rows and restarts, each with its name in words."""
    features: tuple[FeatureScores, ...] = ()
    """Scores of each set of features, the pretrained one first."""


class Results(Summary, MadeWith):
    """The whole quickstart."""

    stages_s: dict[str, float] = {}
    """Seconds of each stage when it last ran."""
    first_stages_s: dict[str, float] = {}
    """Seconds of each stage when it ran first and did its work; a later run may find the work done."""
