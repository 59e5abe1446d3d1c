"""The candidates of an evaluation: what `model`, `features` and `baselines` name, found and made loadable."""

from __future__ import annotations

import atexit
import collections
import contextlib
import dataclasses
import re
from pathlib import Path

import timm

from videomac import config
from videomac.errors import EvaluationError, VideomacError
from videomac.pretrain.export import export_checkpoint
from videomac.propagation.extractors import Extractor
from videomac.propagation.load import identify, load_extractor
from videomac.records.card import CARD, WEIGHTS, Card
from videomac.records.evaluation import FeatureIdentity
from videomac.storage import copies

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
TIMM_PREFIXES = ("local-dir:", "hf-hub:", "hf_hub:", "timm/")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One set of features in an evaluation, over one or several seeds: a row of its table."""

    source: config.Candidate
    stage: int
    stride_reduction: int = 1
    is_baseline: bool = False

    @property
    def label(self) -> str:
        """Name in tables and pictures."""
        return self.source.label

    @property
    def slug(self) -> str:
        """The label as a file name."""
        return slug_of(self.label) or "candidate"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds to score; sources without randomness have one."""
        return self.source.seeds if self.source.source == "random" else (0,)

    def identity(self, seed: int) -> FeatureIdentity:
        """Return what decides the features.

        Raises:
            EvaluationError: a weights file or an export's card is missing.
        """
        return identify(self.source, self.stage, seed, self.stride_reduction)

    def load(self, seed: int, device: str) -> Extractor:
        """Return the extractor of one seed.

        Raises:
            EvaluationError: no such model, file or stage, or weights that do not fit.
        """
        return load_extractor(self.source, self.stage, seed, self.stride_reduction, device)

    def files(self) -> dict[str, bytes]:
        """Return an export's files, for the nodes that score it; nothing for other sources."""
        if self.source.source != "export":
            return {}
        return {name: copies.read_file(f"{self.source.model}/{name}") for name in (CARD, WEIGHTS)}

    def reading_from(self, folder: str) -> Candidate:
        """Return the candidate with its export read from `folder`, a copy on this node."""
        return dataclasses.replace(self, source=self.source.model_copy(update={"model": folder}))


def find_candidates(settings: config.Evaluate) -> tuple[Candidate, ...]:
    """Return every candidate of the table: `model` first, then `features`, then `baselines`.

    A checkpoint or run folder is exported to `OUT/exports` first.

    Raises:
        EvaluationError: nothing is named, two candidates share a name, or a name is not known.
    """
    reduction, found = settings.stride_reduction, []
    if settings.model is not None:
        found.append(Candidate(_named(settings.model, settings.out), settings.stage, reduction))
    for section in settings.features:
        stage = settings.stage if section.stage is None else section.stage
        found.append(Candidate(_with_export(section, settings.out), stage, reduction))
    for name in settings.baselines:
        found.append(Candidate(_named(name, settings.out), settings.stage, reduction, is_baseline=True))
    if not found:
        raise EvaluationError("nothing to evaluate: give model=EXPORT (or a timm name), or features")
    _refuse_shared_names(found)
    return tuple(found)


def export_candidate(folder: str, stage: int, stride_reduction: int) -> Candidate:
    """Return the candidate of one export folder on this machine."""
    return Candidate(_export(folder, label=_folder_label(folder)), stage, stride_reduction)


def slug_of(text: str) -> str:
    """Return a text as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")


def _refuse_shared_names(candidates: list[Candidate]) -> None:
    """Labels name rows, slugs name folders: both have to tell candidates apart."""
    by_slug = collections.defaultdict(list)
    for candidate in candidates:
        by_slug[candidate.slug].append(candidate.label)
    shared = next((labels for labels in by_slug.values() if len(labels) > 1), None)
    if shared is not None:
        what = f"{shared[0]!r}" if len(set(shared)) == 1 else f"{shared[0]!r} and {shared[1]!r} (one folder name)"
        raise EvaluationError(f"features: two candidates are labelled {what}; give each its own label")


def _with_export(section: config.Candidate, out: str) -> config.Candidate:
    if section.source != "export":
        return section
    return section.model_copy(update={"model": _export_folder(str(section.model), out)})


def _named(name: str, out: str) -> config.Candidate:
    """Return what `model` or a baseline names: an export, a checkpoint, weights of a timm network, or a timm name."""
    architecture, at, file = name.partition("@")
    if at:
        return _timm(architecture, file, label=f"{architecture} ({Path(file).name})")
    if name.endswith(f"/{WEIGHTS}"):
        name = name.removesuffix(f"/{WEIGHTS}")
    elif name.endswith(WEIGHT_SUFFIXES):
        return _timm(_architecture_of(name), name, label=Path(name).name)
    if name.startswith(TIMM_PREFIXES) or timm.is_model(name.split(".")[0]):
        return _timm(name, None, label=name)
    return _export(_export_folder(name, out), label=_folder_label(name))


def _timm(architecture: str, weights: str | None, label: str) -> config.Candidate:
    return config.Candidate(label=label, source="timm", model=architecture, weights=weights, stage=None)


def _export(folder: str, label: str) -> config.Candidate:
    return config.Candidate(label=label, source="export", model=folder, stage=None)


def _architecture_of(file: str) -> str:
    """Return the longest timm name that a file's name starts with."""
    stem = Path(file).name.split(".")[0]
    while stem and not timm.is_model(stem):
        stem = stem[:-1]
    if not stem:
        raise EvaluationError(f"{file}: its name does not start with a timm name; write NAME@{file}")
    return stem


def _export_folder(name: str, out: str) -> str:
    """Return the local folder of an export; a checkpoint or run is exported first, a remote export copied."""
    if copies.exists(f"{name}/{CARD}"):
        return _local(name)
    if not copies.is_folder(name):
        raise EvaluationError(
            f"model {name!r}: neither a timm name nor a folder; expected an export (card.json), a checkpoint, a run, a "
            "timm name, or NAME@FILE"
        )
    folder = f"{out}/exports/{slug_of(name)[-80:]}"
    try:
        export_checkpoint(name, folder)
    except VideomacError as error:
        raise EvaluationError(
            f"model {name!r}: not an export (no card.json), and none could be made of it: {error}"
        ) from error
    return _local(folder)


def _local(folder: str) -> str:
    """Return the export itself, or a copy of a remote one that lives as long as this process."""
    place = f"{folder}/{CARD}"
    card = Card.from_json(copies.read_file(place), place, EvaluationError)
    held = contextlib.ExitStack()
    atexit.register(held.close)
    return str(held.enter_context(copies.local_copy(folder, {CARD: None, WEIGHTS: card.weights_sha256})))


def _folder_label(name: str) -> str:
    parts = [part for part in name.rstrip("/").split("/") if part not in ("export", "checkpoints")]
    return "/".join(parts[-2:]) if parts and parts[-1].startswith("step_") else (parts[-1] if parts else name)
