"""The stages of a whole line in one run folder: shown, timed, and written to its `results.json`.

A run folder belongs to one configuration. Begun again with the same one, each stage keeps what it finished (and says
so itself); with another one the differing keys are printed, and only evaluation settings may differ.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from videomac.config import Quickstart, differing_keys, read_yaml
from videomac.errors import ConfigError
from videomac.facts.provenance import provenance
from videomac.report.page import write_bytes

T = TypeVar("T")
START_OVER = "make demo FRESH=1 (or: videomac quickstart --fresh)"


class Stages:
    """Runs the stages of a quickstart, one line before and after each.

    Raises:
        ConfigError: the run folder holds another configuration's shards or weights.
    """

    def __init__(self, config: Quickstart, count: int) -> None:
        self.config, self.count = config, count
        self.folder = Path(config.pretrain.run.storage) / config.pretrain.run.name
        self.seconds: dict[str, float] = {}
        self._results: dict[str, Any] = {}
        if config.fresh:
            _move_aside(self.folder)
        self._claim()

    def run(self, name: str, stage: Callable[[Any], T], argument: Any) -> T:
        """Calls `stage(argument)` between two lines on the screen, and keeps its seconds."""
        print(f"[{len(self.seconds) + 1}/{self.count}] {name} ...", flush=True)
        begin = time.perf_counter()
        outcome = stage(argument)
        self.seconds[name] = time.perf_counter() - begin
        self._record()
        print(f"[{len(self.seconds)}/{self.count}] {name}: {self.seconds[name]:.1f} s", flush=True)
        return outcome

    def discard(self, name: str) -> None:
        """Removes a stage's folder below the run folder, so that it is made anew."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def finish(self, **results: Any) -> None:
        """Writes what the run came to into `results.json`, beside the seconds of the stages."""
        self._results = results
        self._record()

    def _record(self) -> None:
        """A kept stage takes no time: `first_stages_s` holds the seconds of the run that did each stage's work."""
        path = self.folder / "results.json"
        first = self.seconds | _read_json(path).get("first_stages_s", {})
        made_with = {"config_hash": self.config.config_hash(), **provenance()}
        record = {"stages_s": self.seconds, "first_stages_s": first, **self._results, **made_with}
        write_bytes(str(path), json.dumps(record, indent=2, default=str).encode())

    def _claim(self) -> None:
        record = self.folder / "quickstart.yaml"
        current = self.config.model_dump(mode="json", exclude={"fresh"})
        if record.exists():
            old = {key: value for key, value in read_yaml(str(record)).items() if key != "fresh"}
            self._compare(old, current)
            print(
                f"{self.folder} exists: finished shards and weights are kept; to start over: {START_OVER}", flush=True
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(str(record), self.config.to_yaml().encode())

    def _compare(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        changed = differing_keys(old, new)
        for line in changed:
            print(f"changed: {line}", flush=True)
        if any(not line.startswith("evaluate.") for line in changed):
            raise ConfigError(
                f"{self.folder} was made with another configuration ({len(changed)} keys differ: "
                f"{'; '.join(changed)}); to start over: {START_OVER}"
            )


def _move_aside(folder: Path) -> None:
    if not folder.exists():
        return
    number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.{n}").exists())
    aside = folder.with_name(f"{folder.name}.{number}")
    folder.rename(aside)
    print(f"moved the old run aside: {aside}", flush=True)


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
