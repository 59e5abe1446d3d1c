"""Keys of a sweep and of the quickstart."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pydantic

from videomac.config.base import Section, Tree
from videomac.config.data import BuildShards
from videomac.config.evaluate import Evaluate
from videomac.config.messages import BadValueError
from videomac.config.places import OutputPlace
from videomac.config.pretrain import RULES_ACROSS_KEYS, Pretrain, check_scored
from videomac.errors import ConfigError
from videomac.facts.names import unknown
from videomac.facts.tasks import TASKS

PROBE = "probe"
"""Metric of a sweep: the best score of a trial's own probes."""
SET_BY_THE_SWEEP = ("run.name", "run.storage")

Values = dict[str, Any]
"""A combination of the space: dotted keys of the pretraining configuration, each with one value."""


class Tune(Section):
    """`videomac tune`: pretraining runs over a space of values, scored by label propagation."""

    SET_ITSELF: ClassVar[frozenset[str]] = frozenset({"evaluate.model", "evaluate.out"})

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the sweep's folder below `storage`; the same name resumes."""
    storage: OutputPlace = "runs"
    """As `run.storage`."""
    space: dict[str, list[Any]]
    """Dotted keys of the pretraining configuration, each with the list of values to try; on the command line
    `space.model.mask_ratio=[0.5, 0.75]`."""
    search: Literal["grid", "random"] = "grid"
    """`grid`: try every combination; `random`: draw each value from its list."""
    samples: int = pydantic.Field(default=1, ge=1)
    """grid: repeats of the whole grid, each with its own seed (`run.seed`, `run.seed` + 1, ...); random: number of
    trials."""
    max_concurrent: int = pydantic.Field(default=1, ge=1)
    """Trials that run at the same time; all their workers and actors must fit on the cluster."""
    metric: str = "J&F-Mean"
    """Score that ranks the trials, larger is better: a score of `evaluate.task` (J&F-Mean, mIoU, PCK@0.1, ...), or
    `probe`, the best score of a trial's own probes."""
    pretrain: Pretrain
    """What every trial starts from; its run name and storage are the sweep's."""
    evaluate: Evaluate
    """How the export of a finished trial is scored; `model` and `out` are the trial's."""

    @property
    def folder(self) -> str:
        """Folder of everything that the sweep makes."""
        return f"{self.storage}/{self.name}"

    @property
    def searched(self) -> dict[str, list[Any]]:
        """`space`, and the seeds of a grid that is repeated."""
        if self.search != "grid" or self.samples == 1:
            return self.space
        first = self.pretrain.run.seed
        return self.space | {"run.seed": [first + repeat for repeat in range(self.samples)]}

    @classmethod
    def completed(cls, tree: Tree) -> Tree:
        """Fill in the trials' run section, which follows from the sweep's name."""
        run = _section(_section(tree, "pretrain"), "run")
        run.setdefault("name", tree.get("name", ""))
        run.setdefault("storage", f"{tree.get('storage', 'runs')}/{tree.get('name', '')}/trials")
        return tree

    @pydantic.model_validator(mode="after")
    def _metric_is_given(self) -> Tune:
        known = [*TASKS[self.evaluate.task].scores, PROBE]
        if self.metric not in known:
            raise BadValueError("metric", unknown(f"score of task {self.evaluate.task}", self.metric, known))
        if self.metric == PROBE and self.pretrain.probe is None:
            raise BadValueError(
                "metric", f"trials have no probe; set pretrain.probe, or use one of {', '.join(known[:-1])}"
            )
        check_scored(self.pretrain.model, self.evaluate, "evaluate")
        return self

    @pydantic.model_validator(mode="after")
    def _space_fits(self) -> Tune:
        for key, values in self.space.items():
            if key in SET_BY_THE_SWEEP:
                raise BadValueError(f"space.{key}", "set by the sweep itself, one for each trial; leave it out")
            if not values:
                raise BadValueError(f"space.{key}", "expected a list with at least one value, got []")
        for values in combinations_to_check(self.space):
            self._check(values)
        return self

    def _check(self, values: Values) -> None:
        """Blame the key whose value is refused alone, or the combination."""
        try:
            self.trial_config(values)
        except ConfigError as error:
            for key, value in values.items():
                try:
                    self.trial_config({key: value})
                except ConfigError as alone:
                    raise BadValueError(f"space.{key}", f"{json.dumps(value)} cannot be run: {_bare(alone)}") from alone
            shown = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
            raise BadValueError("space", f"{shown} cannot be run together: {_bare(error)}") from error

    def trial_config(self, values: Values) -> Pretrain:
        """Return the checked pretraining configuration of a trial with these values of `space`.

        Raises:
            ConfigError: a key that does not exist or a value that cannot be run.
        """
        return self.pretrain.with_values(**values)


def combinations_to_check(space: dict[str, list[Any]]) -> Iterator[Values]:
    """Return combinations that hold each value, and each group of values that some rule compares with each other.

    All are combinations of the space, so that one which cannot be run is a trial that would fail. Their number grows
    with the sum of the lists' lengths, not with the product.
    """
    first = {key: values[0] for key, values in space.items()}
    yield first
    for key, values in space.items():
        yield from ({**first, key: value} for value in values[1:])
    for rule in RULES_ACROSS_KEYS:
        keys = [key for key in space if any(ruled == key or ruled.startswith(f"{key}.") for ruled in rule)]
        if len(keys) > 1:
            for values in itertools.product(*(space[key] for key in keys)):
                yield {**first, **dict(zip(keys, values, strict=True))}


def _bare(error: ConfigError) -> str:
    return str(error).removeprefix("override: ")


class Quickstart(Section):
    """`videomac quickstart`: shards, pretraining, export, evaluation and report in one run folder."""

    SET_ITSELF: ClassVar[frozenset[str]] = frozenset({"pretrain.data.manifest"})

    shards: BuildShards
    pretrain: Pretrain
    evaluate: Evaluate
    fresh: bool = False
    """Move an old run of the same name aside and start over."""

    @property
    def folder(self) -> str:
        """Run folder: everything that the quickstart makes lies below it."""
        return f"{self.pretrain.run.storage}/{self.pretrain.run.name}"

    @classmethod
    def completed(cls, tree: Tree) -> Tree:
        """Fill in where one stage's output is the next one's input, unless the configuration says otherwise."""
        pretrain, shards, evaluate = (_section(tree, key) for key in ("pretrain", "shards", "evaluate"))
        run = _section(pretrain, "run")
        folder = f"{run.get('storage', 'runs')}/{run.get('name', '')}"
        shards.setdefault("out", f"{folder}/shards")
        _section(pretrain, "data").setdefault("manifest", f"{shards['out']}/manifest.json")
        evaluate.setdefault("model", f"{folder}/export")
        evaluate.setdefault("out", f"{folder}/evaluation")
        return tree

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Quickstart:
        check_scored(self.pretrain.model, self.evaluate, "evaluate")
        return self


def _section(tree: Any, key: str) -> Tree:
    section = tree.setdefault(key, {}) if isinstance(tree, dict) else {}
    return section if isinstance(section, dict) else {}
