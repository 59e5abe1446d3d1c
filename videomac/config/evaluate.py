"""Keys of evaluation by label propagation."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from videomac.config.base import Section, blamed_on
from videomac.config.data import Bounds
from videomac.config.messages import BadValueError
from videomac.config.places import InputPlace, OutputPlace, Place
from videomac.facts.networks import SIZES, check_stage
from videomac.facts.presets import find_preset, resolve

WITH_A_MODEL = ("export", "timm", "random")


class LabelledData(Section):
    """Labelled clips in their data set's own folder layout."""

    root: InputPlace
    """Folder of the data set, for example DAVIS with JPEGImages/, Annotations/ and ImageSets/."""
    split: str = "val"
    """List of clips: a name in the layout's own lists (JHMDB: split1 to split3, sub1 to sub3), or a text file."""
    resolution: str = "480p"
    """DAVIS: the folder below JPEGImages/ and Annotations/."""
    clips: tuple[str, ...] = ()
    """Evaluate only these clips; empty: all of the split."""
    bounds: Bounds = Bounds()
    """What one clip may cost; one that exceeds a bound is not scored."""


class Propagation(Section):
    """Departures from the preset; null keeps the preset's value."""

    short_side: int | None = pydantic.Field(default=None, ge=16)
    """Resize frames to this short side, in pixels."""
    window: Literal["circle", "square"] | None = None
    """Shape of the window around a site: distance < radius, or both offsets <= radius."""
    context: int | None = pydantic.Field(default=None, ge=1)
    """Recent frames that labels are taken from, besides the first frame."""
    radius: int | None = pydantic.Field(default=None, ge=1)
    """Radius of the window, in sites."""
    topk: int | None = pydantic.Field(default=None, ge=1)
    """Affinities kept for each site."""
    temperature: float | None = pydantic.Field(default=None, gt=0)
    """Temperature of the softmax over the affinities kept."""


class Candidate(Section):
    """One set of features to compare: a row of the table."""

    label: str
    """Name in tables and pictures."""
    source: Literal["export", "timm", "random", "raw_colour", "raw_patch"]
    """Where features come from: an export of ours, a timm model, an untrained timm model, or raw pixels."""
    model: Place | None = None
    """Export folder or file, or timm name; raw pixels have none."""
    weights: InputPlace | None = None
    """For `timm`: a safetensors or pth file; null: the weights that timm creates it with."""
    stage: int | None = pydantic.Field(default=None, ge=-1)
    """Stage of the features, 0 is the first and -1 the last; null: the top-level `stage`."""
    seeds: tuple[int, ...] = pydantic.Field(default=(0,), min_length=1)
    """For `random`: scores are means over these seeds."""

    @pydantic.model_validator(mode="after")
    def _names_a_model(self) -> Candidate:
        if self.source in WITH_A_MODEL and self.model is None:
            raise BadValueError("model", f"source {self.source} needs one: an export folder or a timm name")
        return self


class Evaluate(Section):
    """`videomac evaluate`: turn features into scores and pictures."""

    model: Place | None = None
    """Candidate of the table's first row: an export, checkpoint or run folder, a timm name, or weights of a timm
    network as `NAME@FILE` (a file whose name starts with the timm name needs no `NAME@`)."""
    stage: int = pydantic.Field(default=1, ge=-1)
    """Stage of the features: 0 is the first (stride 4), 1 has stride 8, -1 is the last; in a plain vision transformer,
    the number of the block."""
    stride_reduction: int = pydantic.Field(default=1, ge=1)
    """Dilate the last stages so that features are this many times denser."""
    features: tuple[Candidate, ...] = ()
    """Further candidates, with a row of the table each."""
    baselines: tuple[Place, ...] = ()
    """Further candidates, each named as `model` is. Beside its row, each gets the paired difference per clip from the
    first row, with a bootstrap interval."""
    task: Literal["davis", "vip", "jhmdb", "masks", "keypoints"] = "davis"
    """Layout of the data set and its scores."""
    data: LabelledData
    preset: str | None = None
    """Named protocol: crw, crw-240p, dino, vfs, cropmae, vip or jhmdb; null: the task's own (vip, jhmdb), else crw."""
    settings: Propagation = Propagation()
    """Departures from the preset; they change its hash."""
    out: OutputPlace = "runs/evaluation"
    """Folder that receives results.json, report.html, predictions and pictures."""
    parallel: int = pydantic.Field(default=0, ge=0)
    """Clips that are scored at the same time, each as a Ray task; 0: one per CPU (or GPU)."""
    gpu: bool = False
    """Give each task one GPU."""
    pictures: bool = True
    """Write overlays and animations."""

    @pydantic.field_validator("preset")
    @classmethod
    def _is_known(cls, preset: str | None) -> str | None:
        if preset is not None:
            with blamed_on(""):
                find_preset(preset)
        return preset

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Evaluate:
        with blamed_on("settings"):
            resolve(self.preset, self.task, self.settings.model_dump())
        for number, candidate in enumerate(self.features):
            if candidate.source in ("timm", "random"):
                own = candidate.stage
                stage, key = (self.stage, "stage") if own is None else (own, f"features.{number}.stage")
                self._check_stage(str(candidate.model), stage, key)
        for name in filter(None, (self.model, *self.baselines)):
            self._check_stage(name, self.stage, "stage")
        labels = [candidate.label for candidate in self.features]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise BadValueError("features", f"two candidates are labelled {twice!r}; give each its own label")
        return self

    def _check_stage(self, model: str, stage: int, key: str) -> None:
        """Check the stage where the name of the candidate tells its network."""
        network = model.partition("@")[0].split(".")[0]
        if network in SIZES:
            with blamed_on(key):
                check_stage(network, stage)


class Probe(Section):
    """Label propagation on a few clips while training goes on."""

    SET_ITSELF: ClassVar[frozenset[str]] = frozenset({"evaluate.model", "evaluate.out"})

    every_checkpoints: int = pydantic.Field(default=1, ge=1)
    """Checkpoints from one probe to the next."""
    max_share: float = pydantic.Field(default=0.5, gt=0, le=1)
    """Skip probes while they have taken more than this share of the run's time."""
    timeout_s: float = pydantic.Field(default=600.0, gt=0)
    """Give a probe up if it has not finished within this time, in seconds; training goes on."""
    evaluate: Evaluate
    """What is scored; its `model` is the checkpoint's export."""
