"""Named protocols of label propagation: each number carries the name and the hash of one of these.

Protocols differ in input size, context, window, temperature and in how labels are resized, and each of these moves
the score: numbers of two presets cannot be compared. Sources: `crw` is videowalk's `test.py` (Jabri et al. 2020),
`dino` is `eval_video_segmentation.py` of DINO (Caron et al. 2021), `vfs` is mmaction's VanillaTracker as VFS
configures it (Xu & Wang 2021), with a square window, `cropmae` is CropMAE's copy of `crw` (Eymael et al. 2024).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from videomac.errors import ConfigError
from videomac.facts.names import unknown
from videomac.facts.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class Preset:
    """One protocol: how frames are resized, which context is looked at, and how labels go down and up."""

    name: str
    size: Literal["native", "short_side", "fixed"]
    """`short_side`: that side becomes `height`, the other keeps the ratio; `fixed`: `height` x `width`."""
    height: int | None
    width: int | None
    long_multiple: int
    """`short_side`: the long side is floored to a multiple of this; 1: rounded."""
    resize: Literal["bilinear", "bicubic"]
    """Filter of the frames; `bicubic` is antialiased, `bilinear` is not (as OpenCV's)."""
    context: int
    """Recent frames n, beside frame 0."""
    first_among_recent: Literal["padded", "once", "never"]
    """`padded`: frame 0 fills up the recent frames that do not exist yet, every copy counts; `once`: it counts as
    a recent frame while it is one of the last n; `never`: as the long-term frame only."""
    window: Literal["circle", "square"]
    radius: int
    """Feature cells: circle keeps distance < radius, square keeps |dy| and |dx| <= radius."""
    first_windowed: bool
    """Whether frame 0, as the long-term frame, is looked at inside the window only."""
    topk: int
    ties: Literal["lowest", "all"]
    """Equal affinities at the k-th place: the lowest (frame, site) is kept, or all are."""
    temperature: float
    labels_down: Literal["bilinear", "nearest"]
    """One-hot labels by bilinear interpolation, or ids by PIL's nearest."""
    labels_up: Literal["input", "native_minmax", "stride_minmax"]
    """Bilinear to the input's size, argmax; bilinear to the native size, min-max per channel, argmax; bilinear by the
    stride, min-max, argmax. Ids then go to the size they are scored at by nearest."""
    scored_at: Literal["native", "input"]
    """Size at which predictions meet the annotation; `input` resizes the annotation by nearest."""
    first_std: float | None = None
    """Replaces the first channel's ImageNet std of 0.229 (DINO's code has 0.228)."""
    comparable: bool = True
    note: str = ""

    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of every setting, name and note apart."""
        settings = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("name", "note", "comparable")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

    def describe(self) -> dict:
        """Name, hash and all settings as plain values, for results.json."""
        return {**dataclasses.asdict(self), "hash": self.hash()}

    def copies_of_first(self, t: int) -> int:
        """How often frame 0 counts among the recent frames of frame `t`, beside its place as long-term frame."""
        if self.first_among_recent == "padded":
            return max(0, self.context - t + 1)
        return int(self.first_among_recent == "once" and t <= self.context)


_CRW = Preset(
    name="crw",
    size="native",
    height=None,
    width=None,
    long_multiple=1,
    resize="bilinear",
    context=20,
    first_among_recent="padded",
    window="circle",
    radius=12,
    first_windowed=False,
    topk=10,
    ties="lowest",
    temperature=0.05,
    labels_down="bilinear",
    labels_up="input",
    scored_at="native",
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _CRW,
        dataclasses.replace(
            _CRW,
            name="crw-240p",
            size="short_side",
            height=240,
            resize="bicubic",
            radius=6,
            scored_at="input",
            comparable=False,
            note="short side 240, half the radius, scored at that size: not comparable with published numbers",
        ),
        dataclasses.replace(
            _CRW,
            name="dino",
            size="short_side",
            height=480,
            long_multiple=64,
            context=7,
            first_among_recent="never",
            window="square",
            first_windowed=True,
            topk=5,
            ties="all",
            temperature=0.1,
            labels_down="nearest",
            labels_up="stride_minmax",
            first_std=0.228,
        ),
        dataclasses.replace(
            _CRW,
            name="vfs",
            size="short_side",
            height=480,
            first_among_recent="once",
            window="square",
            first_windowed=True,
            temperature=0.07,
            labels_down="nearest",
            labels_up="native_minmax",
        ),
        dataclasses.replace(
            _CRW,
            name="cropmae",
            size="fixed",
            height=480,
            width=880,
            radius=20,
            topk=7,
            temperature=0.7,
            scored_at="input",
            comparable=False,
            note="frames and annotations resized to 480x880 and scored there: not comparable with the other presets",
        ),
        dataclasses.replace(_CRW, name="vip", size="fixed", height=560, width=560, context=4),
        dataclasses.replace(_CRW, name="jhmdb", size="fixed", height=320, width=320, context=7),
    )
}


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        ConfigError: the preset is unknown.
    """
    if name not in PRESETS:
        raise ConfigError(unknown("preset", name, PRESETS))
    return PRESETS[name]


def resolve(preset: str | None, task: str, settings: Mapping[str, Any]) -> Preset:
    """The preset of that name (none: the task's own, else `crw`) with the free settings put in.

    Settings that depart from the preset change its hash, append `*` to its name and make it not comparable.

    Raises:
        ConfigError: the preset is unknown.
    """
    name = preset or TASKS[task].preset
    chosen = find_preset(name)
    changed = {k: v for k, v in settings.items() if v is not None}
    if "short_side" in changed:
        changed |= {"size": "short_side", "height": changed.pop("short_side"), "width": None}
    changed = {k: v for k, v in changed.items() if getattr(chosen, k) != v}
    if not changed:
        return chosen
    note = f"{name} with {', '.join(f'{k}={v}' for k, v in changed.items())}"
    return dataclasses.replace(chosen, **changed, name=f"{name}*", comparable=False, note=note)
