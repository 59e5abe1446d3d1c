"""What a run, an evaluation or a sweep left in its folder, read also while it is being written.

Any part may be missing. The last line of a file that is still being written is left for the next time; any other line
or file that cannot be read is named in `unreadable`, which the page shows.
"""

from __future__ import annotations

import fnmatch
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pydantic
import yaml

from videomac.errors import MissingFileError, StorageError, VideomacError
from videomac.records import metrics
from videomac.records.base import Record
from videomac.records.evaluation import Results as Evaluation
from videomac.records.events import Attempt, Event, parse_event
from videomac.records.provenance import MadeWith
from videomac.records.quickstart import Results
from videomac.storage.lines import read_appended
from videomac.storage.storage import Storage

T = TypeVar("T")
R = TypeVar("R", bound=Record)
Arrays = Mapping[str, np.ndarray]
PICTURES_READ = 6
CLIPS_READ = 4
PICTURE_ARRAYS = ("input", "visible", "online", "target")


def _setting(*keys: str) -> pydantic.AliasChoices:
    """Where a key of the pretraining configuration is: the whole file, or a section of a quickstart's."""
    return pydantic.AliasChoices(pydantic.AliasPath(*keys), pydantic.AliasPath("pretrain", *keys))


class Settings(Record):
    """What a page shows of a run's configuration; other keys, and those of other versions, are ignored."""

    model_config = pydantic.ConfigDict(extra="ignore")

    encoder: str | None = pydantic.Field(default=None, validation_alias=_setting("model", "encoder", "name"))
    """Name of the network."""
    mask_ratio: float | None = pydantic.Field(default=None, validation_alias=_setting("model", "mask_ratio"))
    """Share of hidden cells."""
    image_size: tuple[int, int] | None = pydantic.Field(default=None, validation_alias=_setting("data", "image_size"))
    """Height and width in pixels."""
    batch_size: int | None = pydantic.Field(default=None, validation_alias=_setting("train", "batch_size"))
    """Pairs of a step."""
    steps: int | None = pydantic.Field(default=None, validation_alias=_setting("train", "steps"))
    """Steps of the run; null where epochs are given."""


class Shards(Record):
    """What a page shows of the shards that lie in a run folder (those of a quickstart do)."""

    model_config = pydantic.ConfigDict(extra="ignore")

    samples: dict[str, int] = {}
    """Samples of each split."""
    seconds: float | None = None
    """Seconds of video."""
    rejected: dict[str, int] = {}
    """Sources that did not become samples, by reason."""


@dataclass(frozen=True)
class Figures:
    """The numbers of one step, by metric: of several lines of a step, the last value of each metric."""

    step: int
    values: Mapping[str, float]


@dataclass
class RunRecord:
    """The parts of a run folder; a part that is missing is None or empty."""

    path: str
    settings: Settings = field(default_factory=Settings)
    config_text: str = ""
    figures: list[Figures] = field(default_factory=list)
    """One per step, ascending."""
    events: list[Event] = field(default_factory=list)
    pictures: list[tuple[int, Arrays]] = field(default_factory=list)
    """Reconstructions at up to `PICTURES_READ` steps, ascending: uint8 arrays (N, 2, H, W, 3) by `PICTURE_ARRAYS`."""
    results: Results = field(default_factory=Results)
    """Of a quickstart."""
    shards: Shards = field(default_factory=Shards)
    ray_data_stats: str = ""
    """Ray Data's own summary of worker 0's execution, at the last checkpoint."""
    card: MadeWith = field(default_factory=MadeWith)
    """What the exported weights were made with."""
    card_text: str = ""
    evaluation: Evaluation | None = None
    propagations: dict[str, Arrays] = field(default_factory=dict)
    """By clip, the content of `evaluation/pictures/CLIP.npz`; of many clips the first `CLIPS_READ` by name."""
    unreadable: list[str] = field(default_factory=list)
    """Files and lines that cannot be read, each with the reason."""

    @property
    def name(self) -> str:
        """Name of the run, which is the folder's."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def last_step(self) -> int | None:
        """Newest step; None before the first."""
        return self.figures[-1].step if self.figures else None

    @property
    def metrics(self) -> set[str]:
        """Names of all metrics that any step has."""
        return {key for figures in self.figures for key in figures.values}

    def column(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps that have a metric, and its values (float64)."""
        pairs = [(figures.step, figures.values[metric]) for figures in self.figures if metric in figures.values]
        array = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def last(self, metric: str) -> float | None:
        """Return the newest value of a metric, None if no step has it."""
        if not metrics.is_metric(metric):
            raise KeyError(f"{metric}: not a metric of records.metrics")
        values = (figures.values[metric] for figures in reversed(self.figures) if metric in figures.values)
        return next(values, None)

    def restarts(self) -> list[int]:
        """Return the steps at which attempts after the first started."""
        return [event.step for event in self.events if isinstance(event, Attempt) and event.attempt > 1]


class Reader:
    """Reads the files of one folder (a path or URL): missing ones in silence, unreadable ones into `unreadable`.

    Raises:
        StorageError: there is no such folder, or it cannot be read.
    """

    def __init__(self, folder: str) -> None:
        self._storage = Storage(folder)
        self.unreadable: list[str] = []
        if not self._storage.is_folder():
            raise StorageError(f"{folder}: no such folder; expected one of a run (run.storage/run.name)")

    def bytes(self, name: str) -> bytes | None:
        """Return a file's content, None if there is no such file."""
        return self._storage.read_if_there(name)

    def text(self, name: str) -> str:
        """Return a file's text, empty if there is none."""
        return self._parsed(name, str, self.bytes(name)) or ""

    def keys(self, name: str) -> set[str]:
        """Return the top-level keys of a JSON file, none if it is not an object."""
        value = self._parsed(name, json.loads, self.bytes(name))
        return set(value) if isinstance(value, dict) else set()

    def record(self, name: str, kind: type[R]) -> R | None:
        """Return the record in a JSON file."""
        return self._parsed(name, lambda text: kind.from_json(text, name), self.bytes(name))

    def yaml(self, name: str, kind: type[R]) -> R | None:
        """Return the record in a YAML file."""
        return self._parsed(name, lambda text: kind.from_json(json.dumps(yaml.safe_load(text)), name), self.bytes(name))

    def lines(self, name: str, parse: Callable[[str, str], T]) -> list[T]:
        """Return what `parse(line, its place)` makes of each complete line of a file."""
        text = self._parsed(name, str, read_appended(self._storage, name)) or ""
        complete = enumerate(text.split("\n")[:-1], 1)
        found = [self._line(line, f"{name}: line {number}", parse) for number, line in complete if line.strip()]
        return [value for value in found if value is not None]

    def arrays(self, name: str, wanted: tuple[str, ...]) -> Arrays | None:
        """Return the arrays of an npz file, among them those in `wanted`; nothing is unpickled."""
        content = self.bytes(name)
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content)) as stored:
                return {key: stored[key] for key in dict.fromkeys((*wanted, *stored.files))}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self.unreadable.append(f"{name}: {error}")
            return None

    def names(self, folder: str, pattern: str) -> list[str]:
        """Return the names, relative to the root and sorted, of the files right in a folder that match a pattern."""
        try:
            found = [entry.name for entry in self._storage.list(folder)]
        except MissingFileError:
            return []
        inside = [name for name in found if "/" not in name.removeprefix(f"{folder}/")]
        return [name for name in inside if fnmatch.fnmatch(name, f"{folder}/{pattern}")]

    def _parsed(self, name: str, parse: Callable[[str], T], content: bytes | None) -> T | None:
        if content is None:
            return None
        try:
            return parse(content.decode("utf-8"))
        except (ValueError, yaml.YAMLError, VideomacError) as error:
            reason = " ".join(str(error).split()).removeprefix(f"{name}: ")
            self.unreadable.append(f"{name}: {reason}")
            return None

    def _line(self, line: str, place: str, parse: Callable[[str, str], T]) -> T | None:
        try:
            return parse(line, place)
        except VideomacError as error:
            self.unreadable.append(str(error))
            return None


def read_run(folder: str) -> RunRecord:
    """Return all parts of a run folder that are there.

    Raises:
        StorageError: there is no such folder, or it cannot be read.
    """
    reader = Reader(folder)
    config = next((name for name in ("config.yaml", "quickstart.yaml") if reader.text(name)), "config.yaml")
    run = RunRecord(
        path=folder.rstrip("/"),
        settings=reader.yaml(config, Settings) or Settings(),
        config_text=reader.text(config),
        figures=_by_step(reader.lines(metrics.FILE, _figures)),
        events=reader.lines("events.jsonl", parse_event),
        pictures=_pictures(reader),
        results=reader.record("results.json", Results) or Results(),
        shards=reader.record("shards/manifest.json", Shards) or Shards(),
        ray_data_stats=reader.text("ray_data_stats.txt"),
        card=reader.record("export/card.json", MadeWith) or MadeWith(),
        card_text=reader.text("export/card.json"),
        evaluation=reader.record("evaluation/results.json", Evaluation),
        propagations=_propagations(reader),
    )
    run.unreadable = list(dict.fromkeys(reader.unreadable))
    return run


def _figures(line: str, place: str) -> Figures:
    """The numbers of a line of metrics, whatever their names: lines of other versions have others."""
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("step"), int):
        raise VideomacError(f"{place}: not a JSON object with a step")
    return Figures(values["step"], {key: value for key, value in values.items() if _is_figure(key, value)})


def _is_figure(key: str, value: object) -> bool:
    return key != "step" and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _by_step(lines: list[Figures]) -> list[Figures]:
    by_step: dict[int, dict[str, float]] = {}
    for line in lines:
        by_step.setdefault(line.step, {}).update(line.values)
    return [Figures(step, by_step[step]) for step in sorted(by_step)]


def _pictures(reader: Reader) -> list[tuple[int, Arrays]]:
    names = [name for name in reader.names("pictures", "step_*.npz") if _step(name) is not None]
    chosen = sorted({round(i) for i in np.linspace(0, len(names) - 1, PICTURES_READ)}) if names else []
    read = ((_step(names[i]), reader.arrays(names[i], PICTURE_ARRAYS)) for i in chosen)
    return [(step, arrays) for step, arrays in read if step is not None and arrays is not None]


def _step(name: str) -> int | None:
    digits = name.rpartition("step_")[2].removesuffix(".npz")
    return int(digits) if digits.isdigit() else None


def _propagations(reader: Reader) -> dict[str, Arrays]:
    names = reader.names("evaluation/pictures", "*.npz")[:CLIPS_READ]
    read = {name: reader.arrays(name, ("frames", "frame_ids")) for name in names}
    return {name.rpartition("/")[2].removesuffix(".npz"): arrays for name, arrays in read.items() if arrays is not None}
