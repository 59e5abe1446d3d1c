"""Keys of evaluation by label propagation."""

from __future__ import annotations

from typing import Literal

import pydantic

from videomac.config.base import Section


class LabelledData(Section):
    """Labelled sequences in their data set's own folder layout."""

    root: str
    """Folder of the data set, e.g. DAVIS with JPEGImages/, Annotations/, ImageSets/."""
    split: str = "val"
    """List of clips: a name in the layout's own lists (JHMDB: split1..3, sub1..3), or the path of a text file."""
    resolution: str = "480p"
    """DAVIS: the folder below JPEGImages/ and Annotations/."""
    clips: tuple[str, ...] = ()
    """Only these clips; empty: all of the split."""


class Propagation(Section):
    """Free settings of the propagation; a preset (`videomac.facts.presets`) gives each a value."""

    short_side: int | None = None
    """Frames are resized to this short side; null: native."""
    window: Literal["circle", "square"] | None = None
    """Shape of the window: distance < radius, or both offsets <= radius."""
    context: int | None = pydantic.Field(default=None, ge=1)
    """Recent frames n that labels are taken from, beside the first."""
    radius: int | None = pydantic.Field(default=None, ge=1)
    """Window around a site, in feature cells."""
    topk: int | None = pydantic.Field(default=None, ge=1)
    """Affinities kept per site."""
    temperature: float | None = pydantic.Field(default=None, gt=0)
    """Of the softmax over the kept affinities."""


class Features(Section):
    """One set of features in the comparison."""

    label: str
    """Name in tables and pictures."""
    source: Literal["export", "timm", "random", "raw_colour", "raw_patch"]
    """An export of ours, a timm model, an untrained timm model, or raw pixels."""
    model: str | None = None
    """Export folder or file, or timm name."""
    weights: str | None = None
    """For `timm`: a safetensors or pth file; null: as timm creates it."""
    stage: int | None = pydantic.Field(default=None, ge=-1)
    """Feature stage, 0 is the first, -1 the last; null: the top-level `stage`."""
    seeds: tuple[int, ...] = (0,)
    """For `random`: scores are means over these seeds."""


class Evaluate(Section):
    """`videomac evaluate`: features to scores and pictures."""

    model: str | None = None
    """Export folder, checkpoint or run folder, timm name, or a timm network's own weights as `NAME@FILE` (a file whose
    name begins with the timm name needs no `NAME@`); the first row of the table."""
    stage: int = pydantic.Field(default=1, ge=-1)
    """Feature stage, 0 is the first (stride 4), 1 stride 8, -1 the last; in a plain vision transformer, the block."""
    stride_reduction: int = pydantic.Field(default=1, ge=1)
    """Dilate the last stages so that features are this many times denser."""
    features: tuple[Features, ...] = ()
    """Further rows of the table."""
    baselines: tuple[str, ...] = ()
    """As `model`: each adds a row, and the paired difference per clip to the first row with a bootstrap interval."""
    task: Literal["davis", "vip", "jhmdb", "masks", "keypoints"] = "davis"
    """The data set's layout and its scores."""
    data: LabelledData
    preset: str | None = None
    """Named protocol: crw, dino, vfs, cropmae, crw-240p, vip, jhmdb; null: the task's own (vip, jhmdb), else crw."""
    settings: Propagation = Propagation()
    """Departures from the preset; they change its hash."""
    out: str = "runs/evaluation"
    """Folder that receives results.json, report.html, predictions and pictures."""
    parallel: int = pydantic.Field(default=0, ge=0)
    """Clips side by side as Ray tasks; 0: one per CPU (or GPU)."""
    gpu: bool = False
    """One GPU per task."""
    pictures: bool = True
    """Write overlays and animations."""


class Probe(Section):
    """Propagation on a few clips, beside the training."""

    every_checkpoints: int = pydantic.Field(default=1, ge=1)
    """Checkpoints between two probes."""
    max_share: float = pydantic.Field(default=0.5, gt=0, le=1)
    """Probes are skipped while they took more than this share of the run's time."""
    timeout_s: float = pydantic.Field(default=600.0, gt=0)
    """A probe that finds no free CPU, or takes longer, is given up; training goes on."""
    evaluate: Evaluate
    """What is scored; its `model` is the checkpoint's export."""
