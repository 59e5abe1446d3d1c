"""Named protocols of label propagation: every score carries the name and the hash of one of these.

Presets differ in input size, context, window, temperature and in how labels are resized. Each of these changes the
score, so scores under two presets cannot be compared. Sources: `crw` is videowalk's `test.py` (Jabri et al. 2020),
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
    """One protocol: how frames are resized, which context is used, and how labels are down- and upsampled."""

    name: str
    """Name in configurations and results."""
    size: Literal["native", "short_side", "fixed"]
    """`native`: not resized; `short_side`: that side becomes `height`, the other keeps the ratio; `fixed`: `height` x
    `width`."""
    height: int | None
    """Pixels: the short side, or the height."""
    width: int | None
    """Pixels, of `fixed`."""
    long_multiple: int
    """`short_side`: the long side is rounded down to a multiple of this; 1: to the nearest pixel."""
    resize: Literal["bilinear", "bicubic"]
    """Filter that resizes frames; `bicubic` is antialiased, `bilinear` is not (as in OpenCV)."""
    context: int
    """Number n of recent frames, besides frame 0."""
    first_among_recent: Literal["padded", "once", "never"]
    """`padded`: frame 0 stands in for the recent frames that do not exist yet, and every copy counts; `once`: it counts
    as a recent frame while it is one of the last n; `never`: it counts as the long-term frame only."""
    window: Literal["circle", "square"]
    """`circle` keeps sites at a distance < radius, `square` those with |dy| and |dx| <= radius."""
    radius: int
    """Radius of the window, in sites."""
    first_windowed: bool
    """Whether the window also restricts frame 0 as the long-term frame."""
    topk: int
    """Affinities kept for each site."""
    ties: Literal["lowest", "all"]
    """Of equal affinities at the k-th place, keep the lowest (frame, site), or all."""
    temperature: float
    """Temperature of the softmax over the affinities kept."""
    labels_down: Literal["bilinear", "nearest"]
    """Downsample one-hot labels by bilinear interpolation, or ids by PIL's nearest neighbour."""
    labels_up: Literal["input", "native_minmax", "stride_minmax"]
    """`input`: bilinear to the input's size, then argmax; `native_minmax`: bilinear to the native size, min-max per
    channel, argmax; `stride_minmax`: bilinear by the stride, min-max, argmax. Ids are then resized to the size that is
    scored by nearest neighbour."""
    scored_at: Literal["native", "input"]
    """Size at which predictions are compared with annotations; `input` resizes annotations by nearest neighbour."""
    first_std: float | None = None
    """Replaces the ImageNet standard deviation of the first channel, 0.229 (DINO's code has 0.228)."""
    comparable: bool = True
    """Whether scores can be compared with published ones."""
    note: str = ""
    """What differs from the published protocol, for tables."""

    def hash(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of every setting, without name and note."""
        settings = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("name", "note", "comparable")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """Return name, hash and all settings as plain values, for results.json."""
        return {**dataclasses.asdict(self), "hash": self.hash()}

    def copies_of_first(self, t: int) -> int:
        """Return how often frame 0 counts among the recent frames of frame `t`, besides being the long-term frame."""
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
    """Return the preset of that name (None: the task's own, else `crw`), with departures from it.

    Values that differ from the preset's change its hash, append `*` to its name and make it not comparable.

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
