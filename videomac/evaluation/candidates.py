"""The rows of a comparison: what `model`, `features` and `baselines` name, found and made loadable."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import re
from pathlib import Path

import timm

from videomac import config
from videomac.errors import EvaluationError, VideomacError
from videomac.pretrain.export import export_checkpoint
from videomac.storage import copies

WEIGHTS = "model.safetensors"
EXPORT_FILES = ("card.json", WEIGHTS)
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: features at a stage, over one or several seeds."""

    source: config.Candidate
    stage: int
    baseline: bool = False

    @property
    def label(self) -> str:
        """Name in tables and pictures."""
        return self.source.label

    @property
    def slug(self) -> str:
        """The label as a file name."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.label).strip("-.") or "row"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds to score; sources without randomness have one."""
        return self.source.seeds if self.source.source == "random" else (0,)

    def files(self) -> dict[str, bytes]:
        """An export's files, for the nodes that score it; nothing for other sources."""
        if self.source.source != "export":
            return {}
        return {name: copies.read_file(f"{self.source.model}/{name}") for name in EXPORT_FILES}

    def with_weights(self, folder: str | None) -> Row:
        """The row reading its export from `folder`, a copy on this node."""
        if folder is None:
            return self
        return dataclasses.replace(self, source=self.source.model_copy(update={"model": folder}))


def plan_rows(settings: config.Evaluate) -> list[Row]:
    """Every row of the table: `model` first, then `features`, then `baselines`.

    A checkpoint or run folder is exported to `OUT/exports` first.

    Raises:
        EvaluationError: nothing is named, two rows of one label, or a name that is nothing known.
    """
    rows = []
    if settings.model is not None:
        rows.append(Row(_named(settings.model, settings.out), settings.stage))
    for section in settings.features:
        rows.append(Row(_resolved(section, settings.out), settings.stage if section.stage is None else section.stage))
    rows += [Row(_named(name, settings.out), settings.stage, baseline=True) for name in settings.baselines]
    if not rows:
        raise EvaluationError("nothing to evaluate: give model=EXPORT (or a timm name), or features")
    labels = [row.label for row in rows]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise EvaluationError(f"features: two rows are labelled {twice!r}; give each its own label")
    return rows


def _resolved(section: config.Candidate, out: str) -> config.Candidate:
    if section.source != "export":
        return section
    if section.model is None:
        raise EvaluationError(f"features {section.label!r}: source export needs model: an export folder or checkpoint")
    return section.model_copy(update={"model": _export_folder(section.model, out)})


def _named(name: str, out: str) -> config.Candidate:
    """What `model` or a baseline names: an export, a checkpoint, weights of a timm network, or a timm name."""
    architecture, at, file = name.partition("@")
    if at:
        return _timm(architecture, file, label=f"{architecture} ({Path(file).name})")
    if name.endswith("/model.safetensors"):
        name = name.removesuffix("/model.safetensors")
    elif name.endswith(WEIGHT_SUFFIXES):
        return _timm(_architecture_of(name), name, label=Path(name).name)
    if name.startswith(("local-dir:", "hf-hub:", "hf_hub:", "timm/")) or timm.is_model(name.split(".")[0]):
        return _timm(name, None, label=name)
    folder = _export_folder(name, out)
    return config.Candidate(label=_folder_label(name), source="export", model=folder, stage=None)


def _timm(architecture: str, weights: str | None, label: str) -> config.Candidate:
    return config.Candidate(label=label, source="timm", model=architecture, weights=weights, stage=None)


def _architecture_of(file: str) -> str:
    stem = Path(file).name.split(".")[0]
    while stem and not timm.is_model(stem):
        stem = stem[:-1]
    if not stem:
        raise EvaluationError(f"{file}: its name does not begin with a timm name; write NAME@{file}")
    return stem


def _export_folder(name: str, out: str) -> str:
    if copies.exists(f"{name}/card.json"):
        return _local(name)
    if not copies.is_folder(name):
        raise EvaluationError(
            f"model {name!r}: neither a timm name nor a folder; expected an export (card.json), a checkpoint, a run, a "
            "timm name, or NAME@FILE"
        )
    folder = f"{out}/exports/{_slug(name)}"
    try:
        export_checkpoint(name, folder)
    except VideomacError as error:
        raise EvaluationError(f"model {name!r}: no export (no card.json), and none could be made: {error}") from error
    return _local(folder)


def _local(folder: str) -> str:
    """Return the export itself, or a copy of a remote one that lives as long as this process."""
    card = json.loads(copies.read_file(f"{folder}/card.json"))
    held = contextlib.ExitStack()
    atexit.register(held.close)
    return str(held.enter_context(copies.local_copy(folder, {"card.json": None, WEIGHTS: card["weights_sha256"]})))


def _folder_label(name: str) -> str:
    parts = [part for part in name.rstrip("/").split("/") if part not in ("export", "checkpoints")]
    return "/".join(parts[-2:]) if parts and parts[-1].startswith("step_") else (parts[-1] if parts else name)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-80:]
