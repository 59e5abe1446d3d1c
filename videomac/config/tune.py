"""Keys of a sweep and of the quickstart."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from videomac.config.base import Section
from videomac.config.data import BuildShards
from videomac.config.evaluate import Evaluate
from videomac.config.pretrain import Pretrain


class Tune(Section):
    """`videomac tune`: pretraining runs over a space of values, scored by label propagation."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Folder of the sweep below `storage`; the same name resumes."""
    storage: str = "runs"
    """As `run.storage`."""
    space: dict[str, list[float | int | str | bool]]
    """Dotted keys of the pretraining config, each with the values to try: a grid, or choices to sample from."""
    samples: int = pydantic.Field(1, ge=1)
    """grid: repeats of the grid; random and optuna: trials in all."""
    search: Literal["grid", "random", "optuna"] = "grid"
    """How the space is walked."""
    scheduler: Literal["none", "asha"] = "none"
    """`asha` stops weak trials at checkpoints, by the probe's score."""
    max_concurrent: int = pydantic.Field(1, ge=1)
    """Trials side by side; all their workers and actors must fit the cluster."""
    metric: str = "J&F-Mean"
    """Score of a trial, larger is better."""
    pretrain: Pretrain
    """What every trial starts from; its run name and storage are the sweep's."""
    evaluate: Evaluate
    """How a finished trial's export is scored."""


class Quickstart(Section):
    """`videomac quickstart`: shards, pretraining, export, evaluation and report in one run folder."""

    shards: BuildShards
    pretrain: Pretrain
    evaluate: Evaluate
    fresh: bool = False
    """Move an old run of the same name aside and start over."""

    @property
    def folder(self) -> str:
        """The run folder: everything that the quickstart makes lies below it."""
        return f"{self.pretrain.run.storage}/{self.pretrain.run.name}"

    @classmethod
    def completed(cls, tree: dict[str, Any]) -> dict[str, Any]:
        """Fills in where one stage's output is the next one's input, unless the configuration says otherwise."""
        pretrain, shards, evaluate = (_section(tree, key) for key in ("pretrain", "shards", "evaluate"))
        run = _section(pretrain, "run")
        folder = f"{run.get('storage', 'runs')}/{run.get('name', '')}"
        shards.setdefault("out", f"{folder}/shards")
        _section(pretrain, "data").setdefault("manifest", f"{shards['out']}/manifest.json")
        evaluate.setdefault("model", f"{folder}/export")
        evaluate.setdefault("out", f"{folder}/evaluation")
        return tree


def _section(tree: Any, key: str) -> dict[str, Any]:
    section = tree.setdefault(key, {}) if isinstance(tree, dict) else {}
    return section if isinstance(section, dict) else {}
