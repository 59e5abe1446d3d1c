"""Reads what a run, an evaluation or a sweep has left in its folder, also while it is being written.

Nothing has to be there. A last line that is still being written is left for the next time; any other line or file that
cannot be read is named in `RunFolder.unreadable` and shown on the page.
"""

from __future__ import annotations

import fnmatch
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import yaml

from videomac.errors import MissingFileError, StorageError, VideomacError
from videomac.records.base import Record
from videomac.records.evaluation import Results as Evaluation
from videomac.records.events import Attempt, Event, parse_event
from videomac.records.metrics import is_metric
from videomac.records.provenance import MadeWith
from videomac.records.quickstart import Results
from videomac.storage.storage import Storage

T = TypeVar("T")
R = TypeVar("R", bound=Record)
PICTURES_READ = 6
CLIPS_READ = 4
PICTURE_ARRAYS = ("input", "visible", "online", "target")


@dataclass
class RunFolder:
    """The parts of a run folder; a part that is not there is None or empty."""

    path: str
    config: dict[str, Any] | None = None
    config_text: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """One per step, ascending: several lines of one step are put together, the last value of each metric counts."""
    events: list[Event] = field(default_factory=list)
    pictures: list[tuple[int, dict[str, np.ndarray]]] = field(default_factory=list)
    """Reconstructions at up to `PICTURES_READ` steps, ascending: uint8 arrays (N, 2, H, W, 3) by `PICTURE_ARRAYS`."""
    results: Results = field(default_factory=Results)
    manifest: dict[str, Any] | None = None
    """Of the shards, where they lie in the run folder (the quickstart's do)."""
    ray_data_stats: str = ""
    """Ray Data's own summary of worker 0's execution, as of the last checkpoint."""
    card: MadeWith | None = None
    """What the export was made with."""
    card_text: str = ""
    evaluation: Evaluation | None = None
    propagations: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """By clip, what `evaluation/pictures/CLIP.npz` holds; of many clips the first `CLIPS_READ` by name."""
    unreadable: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the run: the folder's."""
        return self.path.rstrip("/").rpartition("/")[2]

    def column(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and values (float64) of the lines of metrics that have a number under `key`."""
        self._check(key)
        pairs = [(line["step"], line[key]) for line in self.metrics if isinstance(line.get(key), (int, float))]
        array = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def restarts(self) -> list[int]:
        """Steps at which the run was begun again: every attempt but the first."""
        return [event.step for event in self.events if isinstance(event, Attempt) and event.attempt > 1]

    def last(self, key: str) -> Any:
        """Return the newest value of a metric, None if there is none."""
        self._check(key)
        return next((line[key] for line in reversed(self.metrics) if line.get(key) is not None), None)

    def _check(self, key: str) -> None:
        """Raise KeyError for a metric that neither this version nor the run knows: a typo of ours."""
        if not is_metric(key) and not any(key in line for line in self.metrics):
            raise KeyError(key)


class Reader:
    """Reads files of one folder (a path or URL); mistakes are collected in `unreadable`, absences are quiet.

    Raises:
        StorageError: there is no such folder, or the store fails past all retries.
    """

    def __init__(self, folder: str) -> None:
        self._storage = Storage(folder)
        self.unreadable: list[str] = []
        if not self._storage.is_folder():
            raise StorageError(f"{folder}: no such folder; expected the folder of a run (run.storage/run.name)")

    def json(self, name: str) -> dict[str, Any] | None:
        """A file's JSON object, else None."""
        value = self._parsed(name, json.loads)
        return value if isinstance(value, dict) else None

    def record(self, name: str, kind: type[R]) -> R | None:
        """A file's record, else None."""
        return self._parsed(name, lambda text: kind.from_json(text, name))

    def text(self, name: str) -> str:
        """A file's text, else an empty one."""
        return self._parsed(name, str) or ""

    def yaml(self, name: str) -> dict[str, Any] | None:
        """A YAML file's mapping, else None."""
        value = self._parsed(name, yaml.safe_load)
        return value if isinstance(value, dict) else None

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a JSON-lines file; a last line without its end is still being written and left out."""
        complete = self.text(name).split("\n")[:-1]
        found = [self._line(name, number, line) for number, line in enumerate(complete, 1) if line.strip()]
        return [line for line in found if line is not None]

    def events(self, name: str) -> list[Event]:
        """The events of a JSON-lines file, as `lines`."""
        return [parse_event(json.dumps(line), name) for line in self.lines(name) if isinstance(line.get("event"), str)]

    def arrays(self, name: str, wanted: tuple[str, ...]) -> dict[str, np.ndarray] | None:
        """The arrays of an npz file (never unpickled), else None; those in `wanted` have to be among them."""
        try:
            with np.load(io.BytesIO(self._storage.read(name))) as stored:
                return {key: stored[key] for key in dict.fromkeys((*wanted, *stored.files))}
        except (MissingFileError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self.unreadable.append(f"{name}: {error}")
            return None

    def names(self, pattern: str) -> list[str]:
        """Return the names, relative to the folder and sorted, that match FOLDER/PATTERN."""
        try:
            found = [entry.name for entry in self._storage.list(pattern.rpartition("/")[0])]
        except MissingFileError:
            return []
        return [name for name in found if name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern)]

    def bytes(self, name: str) -> bytes | None:
        """Return a file's content, else None."""
        return self._storage.read_if_there(name)

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        content = self.bytes(name)
        if content is None:
            return None
        try:
            return parse(content.decode("utf-8"))
        except (ValueError, yaml.YAMLError, VideomacError) as error:
            self.unreadable.append(f"{name}: {' '.join(str(error).split())}")
            return None

    def _line(self, name: str, number: int, line: str) -> dict[str, Any] | None:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.unreadable.append(f"{name}: line {number} is no JSON object")
            return None
        return value


def read_run(folder: str) -> RunFolder:
    """All parts of a run folder that are there.

    Raises:
        StorageError: there is no such folder.
    """
    reader = Reader(folder)
    config_name = next((name for name in ("config.yaml", "quickstart.yaml") if reader.text(name)), "config.yaml")
    run = RunFolder(
        path=folder.rstrip("/"),
        config=reader.yaml(config_name),
        config_text=reader.text(config_name),
        metrics=_by_step(reader.lines("metrics.jsonl")),
        events=reader.events("events.jsonl"),
        pictures=_pictures(reader),
        results=reader.record("results.json", Results) or Results(),
        manifest=reader.json("shards/manifest.json"),
        ray_data_stats=reader.text("ray_data_stats.txt"),
        card=reader.record("export/card.json", MadeWith),
        card_text=reader.text("export/card.json"),
        evaluation=reader.record("evaluation/results.json", Evaluation),
        propagations=_propagations(reader),
    )
    run.unreadable = list(dict.fromkeys(reader.unreadable))
    return run


def _by_step(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_step: dict[int, dict[str, Any]] = {}
    for line in lines:
        if isinstance(line.get("step"), int):
            by_step[line["step"]] = by_step.get(line["step"], {}) | line
    return [by_step[step] for step in sorted(by_step)]


def _pictures(reader: Reader) -> list[tuple[int, dict[str, np.ndarray]]]:
    names = [name for name in reader.names("pictures/step_*.npz") if _step(name) is not None]
    chosen = sorted({round(i) for i in np.linspace(0, len(names) - 1, PICTURES_READ)}) if names else []
    read = ((_step(names[i]), reader.arrays(names[i], PICTURE_ARRAYS)) for i in chosen)
    return [(step, arrays) for step, arrays in read if step is not None and arrays is not None]


def _step(name: str) -> int | None:
    digits = name.rpartition("step_")[2].removesuffix(".npz")
    return int(digits) if digits.isdigit() else None


def _propagations(reader: Reader) -> dict[str, dict[str, np.ndarray]]:
    names = reader.names("evaluation/pictures/*.npz")[:CLIPS_READ]
    read = {name: reader.arrays(name, ("frames", "frame_ids")) for name in names}
    return {name.rpartition("/")[2].removesuffix(".npz"): arrays for name, arrays in read.items() if arrays is not None}
