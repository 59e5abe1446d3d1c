"""Records of an evaluation: a finished clip (`clips/CANDIDATE/SEED/CLIP.json`) and the table (`results.json`).

Scores are shares from 0 to 1. In `results.json` a score that is not defined is null; in a clip's record it is NaN, and
a distance may be infinite, because totals are computed from them again when the clip is taken over.
"""

from __future__ import annotations

import math
from typing import Any

import pydantic

from videomac.records.base import Record

SCHEMA = 1
Plain = str | int | float | bool | None


class _Sparse(Record, extra="ignore", ser_json_inf_nan="constants"):
    """A record that leaves absent fields out of the file."""

    @pydantic.model_serializer(mode="wrap")
    def _without_absent(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class FeatureIdentity(_Sparse, extra="forbid"):
    """What decides the features, known before a network is built. A field that plays no part is absent."""

    source: str
    """Kind of features, as `source` in the configuration."""
    timm: str
    """Version of timm."""
    torch: str
    """Version of torch."""
    model: str | None = None
    """timm name; of an export the SHA-256 of its weights."""
    stage: int | None = None
    """Stage as asked for (-1 is the last)."""
    stride_reduction: int | None = None
    """How many times denser the features are than the network's own."""
    seed: int | None = None
    """Seed of untrained weights."""
    weights: str | None = None
    """SHA-256 of the file of weights."""


class FeatureFacts(_Sparse):
    """What is known of the features after loading. A field that does not apply is absent."""

    source: str
    """Kind of features, as `source` in the configuration."""
    stride_reduction: int | None = None
    """How many times denser the features are than the network's own."""
    seed: int | None = None
    """Seed of untrained weights."""
    site_px: int | None = None
    """Raw pixels: side of a site."""
    architecture: str | None = None
    """timm name of the network."""
    variant: str | None = None
    """`standard` (timm's network) or `paper`."""
    stage: int | None = None
    """Stage that the features come from."""
    stride: int | None = None
    """Pixels between two sites."""
    weights_sha256: str | None = None
    """SHA-256 of the weights."""
    run: str | None = None
    """Export: name of the run."""
    step: int | None = None
    """Export: step of the checkpoint."""
    config_hash: str | None = None
    """Export: hash of the run's configuration."""


class ClipKey(Record):
    """What the scores of a clip depend on. A finished clip is taken over only under an equal key."""

    schema_number: int = pydantic.Field(alias="schema")
    """Version of this format."""
    task: str
    """Task of the evaluation."""
    preset_hash: str
    """Hash of the protocol."""
    clip: str
    """SHA-256 over the clip's frames and annotations."""
    features: FeatureIdentity
    """What decides the features."""


class ClipParts(_Sparse):
    """What totals over several clips need of one clip: the one of the three that fits the task."""

    objects: dict[str, dict[str, float]] | None = None
    """Mask tasks: J and F statistics by object."""
    confusion: tuple[tuple[int, ...], ...] | None = None
    """VIP: counts of (truth, prediction), summed over the clip's frames."""
    distances: dict[str, tuple[float, ...]] | None = None
    """Key points: normalised distances by joint, one per scored frame."""


class ClipRecord(Record, extra="ignore", ser_json_inf_nan="constants"):
    """One finished clip of one candidate and seed."""

    key: ClipKey
    """What the scores depend on."""
    scores: dict[str, float]
    """Scores of this clip alone."""
    parts: ClipParts
    """What totals are computed from."""
    seconds: dict[str, float]
    """Time by part: features, propagation, upsampling, scoring."""
    facts: FeatureFacts
    """What is known of the features."""


class Failure(Record, extra="ignore"):
    """Something that was not scored."""

    features: str | None
    """Label of the candidate; null where the clip itself cannot be read."""
    clip: str
    """Name of the clip."""
    seed: int | None
    """Seed of the candidate; null where the clip itself cannot be read."""
    error: str
    """Why."""


class Details(_Sparse):
    """Totals in parts: those that fit the task."""

    objects: dict[str, dict[str, float | None]] | None = None
    """Mask tasks: J and F statistics by object."""
    classes: dict[str, float | None] | None = None
    """VIP: IoU by class; classes that appear nowhere are left out."""
    confusion: tuple[tuple[int, ...], ...] | None = None
    """VIP: counts of (truth, prediction) over all clips."""
    joints: dict[str, dict[str, float | None]] | None = None
    """Key points: by threshold, PCK by joint and their mean."""


class TableRow(Record, extra="ignore"):
    """One row of the table: the scores of one candidate."""

    label: str
    """Name of the candidate."""
    source: str
    """Kind of features, as `source` in the configuration."""
    model: str | None
    """Export folder or timm name."""
    stage: int | None
    """Stage that the features come from; null for raw pixels."""
    stride: int
    """Pixels between two sites."""
    seeds: tuple[int, ...]
    """Seeds that were scored; scores are means over them."""
    baseline: bool
    """Whether the first row is compared with this one."""
    facts: FeatureFacts
    """What is known of the features."""
    scores: dict[str, float | None]
    """Totals over the clips that were scored with every seed."""
    scores_by_seed: tuple[dict[str, float | None], ...]
    """The same for each seed."""
    clips: dict[str, dict[str, float | None]]
    """Scores by clip."""
    details: Details
    """Totals per object, class or joint (first seed)."""
    seconds: dict[str, float]
    """Time of a clip by part, mean over clips."""
    preset: str
    """Name of the protocol."""
    preset_hash: str
    """Hash of the protocol."""
    dataset_hash: str
    """Hash over all frames and annotations."""


class Difference(Record, extra="ignore"):
    """Paired difference of two candidates over the clips that both have."""

    clips: int
    """Clips that both have."""
    per_clip: dict[str, float | None]
    """Difference by clip."""
    mean: float | None
    """Mean difference; null without a clip in common."""
    low: float | None
    """Lower end of the bootstrap interval."""
    high: float | None
    """Upper end of the bootstrap interval."""
    level: float
    """Confidence level of the interval."""


class Baseline(Difference, extra="ignore"):
    """Paired difference of the first row to a baseline."""

    against: str
    """Label of the baseline."""
    metric: str
    """The score that is compared."""


class Published(Record, extra="ignore"):
    """A published score, to stand beside ours; `unpublished` where a fact is."""

    label: str
    """Method and network."""
    protocol: str
    """Protocol of label propagation."""
    score: float
    """The task's headline score."""
    stage: str
    """Stage of the features."""
    stride: str
    """Pixels between two sites."""
    source: str
    """Where it was published."""


class DataSet(Record, extra="ignore"):
    """Which clips were asked for."""

    root: str
    """Folder of the data set."""
    split: str
    """List of clips."""
    clips: tuple[str, ...]
    """Names of the clips that could be read."""


class Results(Record, extra="ignore"):
    """`results.json` of an evaluation."""

    schema_number: int = pydantic.Field(alias="schema")
    """Version of this format."""
    task: str
    """Task of the evaluation."""
    headline: str
    """The score that ranks the rows."""
    preset: str
    """Name of the protocol; `*` marks a departure from a named one."""
    preset_hash: str
    """Hash of the protocol."""
    dataset_hash: str
    """Hash over all frames and annotations."""
    preset_settings: dict[str, Plain]
    """Every setting of the protocol."""
    comparable: bool
    """Whether published values under this protocol can be compared with these."""
    data: DataSet
    """Which clips were asked for."""
    partial: bool
    """Whether something was not scored."""
    failures: tuple[Failure, ...]
    """What was not scored, and why."""
    scores: dict[str, float | None]
    """Scores of the first candidate; empty where none of its clips could be scored."""
    rows: tuple[TableRow, ...]
    """A row for each candidate that has scores."""
    baselines: tuple[Baseline, ...]
    """Paired differences of the first row to each baseline."""
    published: tuple[Published, ...]
    """Published values of the task."""
    config: dict[str, Any]
    """The resolved configuration."""
    config_hash: str
    """Its hash."""
    commit: str | None
    """Commit of the code; null for an installed wheel."""
    versions: dict[str, str]
    """Versions of the packages that scores depend on."""
    machine: str
    """The driver's machine."""

    @property
    def scores_or_nan(self) -> dict[str, float]:
        """The scores of the first candidate, NaN where one is not defined."""
        return {name: math.nan if score is None else score for name, score in self.scores.items()}
