"""Keys of a sweep and of the quickstart."""

from __future__ import annotations

import itertools
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
    space: dict[str, list[Any]]
    """Dotted keys of the pretraining config, each with the values to try."""
    search: Literal["grid", "random"] = "grid"
    """`grid`: every combination; `random`: each value drawn from its list."""
    samples: int = pydantic.Field(default=1, ge=1)
    """grid: repeats of the whole grid, each with a seed of its own (`run.seed`, `run.seed` + 1, ...); random: trials in
    all."""
    max_concurrent: int = pydantic.Field(default=1, ge=1)
    """Trials side by side; all their workers and actors must fit the cluster."""
    metric: str = "J&F-Mean"
    """Score that ranks the trials, larger is better: J&F-Mean, J-Mean, F-Mean, mIoU, PCK@0.1 as the task gives, or
    `probe`, the best score of a trial's own probes."""
    pretrain: Pretrain
    """What every trial starts from; its run name and storage are the sweep's."""
    evaluate: Evaluate
    """How a finished trial's export is scored; `model` and `out` are the trial's."""

    @property
    def folder(self) -> str:
        """Everything that the sweep makes lies below this."""
        return f"{self.storage}/{self.name}"

    @property
    def searched(self) -> dict[str, list[Any]]:
        """`space`, and the seeds of a grid that is repeated."""
        if self.search != "grid" or self.samples == 1:
            return self.space
        first = self.pretrain.run.seed
        return self.space | {"run.seed": [first + repeat for repeat in range(self.samples)]}

    @classmethod
    def completed(cls, tree: dict[str, Any]) -> dict[str, Any]:
        """The trials' run section follows from the sweep's name."""
        run = _section(_section(tree, "pretrain"), "run")
        run.setdefault("name", tree.get("name", ""))
        run.setdefault("storage", f"{tree.get('storage', 'runs')}/{tree.get('name', '')}/trials")
        return tree

    @pydantic.model_validator(mode="after")
    def _space_fits(self) -> Tune:
        for values in itertools.product(*self.space.values()):
            self.trial_config(dict(zip(self.space, values, strict=True)))
        return self

    def trial_config(self, values: dict[str, Any]) -> Pretrain:
        """The checked pretraining configuration of a trial with these values of `space`.

        Raises:
            ConfigError: a key that does not exist or a value that cannot be run.
        """
        return self.pretrain.with_values(**values)


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
