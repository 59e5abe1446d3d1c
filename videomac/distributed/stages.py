"""The stages of a pipeline. A quickstart's are shown, timed and written to its `results.json`.

The run folder of a quickstart belongs to one configuration. Started again with the same one, each stage keeps what it
has finished; with another one the differing keys are printed, and only those of the evaluation may differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import yaml

from videomac.config import Quickstart, differing_keys, filled, without_access
from videomac.errors import ConfigError
from videomac.facts.provenance import provenance
from videomac.records.quickstart import Results
from videomac.report.summary import summarise
from videomac.storage.run_folder import RunFolder

P = ParamSpec("P")
T = TypeVar("T")
START_OVER = "make demo FRESH=1 (or: videomac quickstart --fresh)"
CONFIG, RESULTS = "quickstart.yaml", "results.json"


class Stages:
    """Runs the stages of a pipeline, nothing more."""

    def run(self, name: str, stage: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:  # noqa: ARG002 (subclass)
        """Call `stage` with its arguments and return what it returns."""
        return stage(*args, **kwargs)


class QuickstartStages(Stages):
    """Runs the stages of a quickstart with a line before and after each, and records their seconds.

    Raises:
        ConfigError: the run folder holds the shards or weights of another configuration.
    """

    def __init__(self, config: Quickstart, count: int) -> None:
        self.count, self.folder = count, claim(config)
        self.results = Results(config_hash=config.config_hash(), **provenance())

    def run(self, name: str, stage: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `stage` between two lines on the screen and add its seconds to the results."""
        place = f"[{len(self.results.stages_s) + 1}/{self.count}] {name}"
        print(f"{place} ...", flush=True)
        start = time.perf_counter()
        outcome = stage(*args, **kwargs)
        seconds = time.perf_counter() - start
        self._write(self.results.model_copy(update={"stages_s": self.results.stages_s | {name: seconds}}))
        print(f"{place}: {seconds:.1f} s", flush=True)
        return outcome

    def summarise(self) -> None:
        """Add the run's own numbers to the results."""
        self._write(self.results.model_copy(update=dict(summarise(self.folder.url))))

    def _write(self, results: Results) -> None:
        """A stage that finds its work done takes no time: `first_stages_s` keeps the seconds of the run that did it."""
        before = self.folder.read(RESULTS)
        first = Results.from_json(before, f"{self.folder.url}/{RESULTS}").first_stages_s if before else {}
        self.results = results.model_copy(update={"first_stages_s": results.stages_s | first})
        self.folder.write(RESULTS, self.results.to_json(indent=2))


def claim(config: Quickstart) -> RunFolder:
    """Make the run folder this configuration's own and drop the evaluation in it, which is done again every time.

    Raises:
        ConfigError: the folder holds the shards or weights of another configuration.
    """
    folder = RunFolder(config.pretrain.run.storage, config.pretrain.run.name)
    if config.fresh:
        _move_aside(folder)
    before = folder.read(CONFIG)
    if before is not None:
        _refuse_another(config, before)
        print(f"{config.folder} exists: finished shards and weights are kept; to start over: {START_OVER}", flush=True)
    folder.write(CONFIG, config.to_yaml().encode())
    discard(folder, "evaluation")
    return folder


def discard(folder: RunFolder, part: str) -> None:
    """Remove a stage's files from the run folder, so that the stage makes them again."""
    for name in folder.names(part):
        folder.remove(f"{part}/{name}")


def _refuse_another(config: Quickstart, before: bytes) -> None:
    old = filled(Quickstart, yaml.safe_load(before))  # what an older version wrote lacks the keys that came since
    changed = differing_keys(without_access({**old, "fresh": config.fresh}), without_access(config.plain()))
    for line in changed:
        print(f"changed: {line}", flush=True)
    if any(not line.startswith("evaluate.") for line in changed):
        raise ConfigError(
            f"{config.folder} was made with another configuration ({len(changed)} keys differ: "
            f"{'; '.join(changed)}); to start over: {START_OVER}"
        )


def _move_aside(folder: RunFolder) -> None:
    if folder.local is None:
        raise ConfigError(
            f"fresh: {folder.url} is in an object store and cannot be moved aside; choose another pretrain.run.name"
        )
    if not folder.local.exists():
        return
    aside = _free_name(folder.local)
    folder.local.rename(aside)
    print(f"moved the old run aside: {aside}", flush=True)


def _free_name(folder: Path) -> Path:
    candidates = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10_000))
    return next(candidate for candidate in candidates if not candidate.exists())
