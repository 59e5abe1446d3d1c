"""From a checkpoint to weights that others load: the online encoder under timm's names, with a card, checked.

An export is a folder: `model.safetensors` and `card.json`. A `standard` network loads by
`timm.create_model(card["architecture"], num_classes=0)` with `strict=True`; a `paper` network is no timm network and
loads into our own dense class (`videomac.nn.networks.registry.build_encoder`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from jaxtyping import Float
from torch import Tensor

from videomac import config
from videomac.errors import CheckpointError, DamagedFileError, ExportError, MissingFileError
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.networks.encoder import Encoder
from videomac.nn.networks.registry import build_encoder, timm_arguments, timm_state_dict
from videomac.pretrain import checkpoint
from videomac.records.checkpoint import CheckpointState
from videomac.storage.checksums import sha256_of
from videomac.storage.copies import local_copy, uploaded
from videomac.storage.entries import Advice
from videomac.storage.storage import Storage

CARD = "card.json"
"""Marks a folder as an export."""
TOLERANCE = 1e-4
"""Largest difference between exported and trained features, relative to the stage's largest value."""


def export(settings: config.Export) -> dict[str, Any]:
    """`videomac export`: writes the export in the asked form; returns its card.

    Raises:
        CheckpointError: `checkpoint` is neither a whole checkpoint nor a run with one.
        ExportError: a form that the network does not have, or a difference above the tolerance.
    """
    from videomac.pretrain import export_formats  # imports ONNX tools on demand only

    card = export_checkpoint(settings.checkpoint, settings.out)
    if settings.format == "huggingface":
        export_formats.add_huggingface_config(settings.out, card)
    elif settings.format == "onnx":
        export_formats.add_onnx(settings.out, card)
    print(
        f"{settings.out}: {card['architecture']} ({card['variant']}), step {card['step']} of {card['run']}", flush=True
    )
    return card


def export_checkpoint(checkpoint_dir: str, out_dir: str) -> dict[str, Any]:
    """Exports a checkpoint's (or a run's last checkpoint's) online encoder into a folder; returns the card.

    Raises:
        CheckpointError: no whole checkpoint there.
        ExportError: the exported network's dense features differ from the trained one's.
    """
    with local_checkpoint(checkpoint_dir) as folder:
        facts = checkpoint.verify(folder)
        encoder = load_encoder(folder, facts)
    weights = timm_state_dict(encoder) if encoder.variant == "standard" else encoder.state_dict()
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()}, {"format": "pt"})
    card = _card(facts, encoder, content)
    card["checked"] = check_export(encoder, content, card)
    with uploaded(out_dir, last=CARD) as out:
        (out / "model.safetensors").write_bytes(content)
        (out / CARD).write_text(json.dumps(card, indent=2), encoding="utf-8")
    return card


def load_encoder(folder: str | Path, facts: CheckpointState) -> Encoder:
    """The online encoder of a checkpoint, in eval mode."""
    settings = config.Model.model_validate_json(json.dumps(facts.config["model"]))
    encoder = build_encoder(settings.encoder, settings.cell)
    tensors = checkpoint.read_tensors(Path(folder) / "online.safetensors")
    ours = {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
    encoder.load_state_dict(ours, strict=True)
    return encoder.eval()


def check_export(encoder: Encoder, content: bytes, card: dict[str, Any]) -> dict[str, Any]:
    """Loads the exported bytes as a user would, and compares dense features on a random image.

    Raises:
        ExportError: a stage differs by more than `TOLERANCE`.
    """
    x_bchw = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    theirs = dense_stages(content, card, x_bchw)
    with torch.no_grad():
        ours = encoder.dense(x_bchw)
    worst = max(
        ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item() for a, b in zip(theirs, ours, strict=True)
    )
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{card['architecture']}: exported features differ from the trained ones by {worst:.2e} of a stage's "
            f"largest value, expected at most {TOLERANCE:g}; nothing was written"
        )
    way = f"timm {timm.__version__}" if card["timm"] else "videomac.nn.networks.registry.build_encoder"
    return {
        "loaded_by": f"{way}, strict=True",
        "largest_relative_difference": worst,
        "tolerance": TOLERANCE,
        "image": [96, 128],
    }


@torch.no_grad()
def dense_stages(content: bytes, card: dict[str, Any], x_bchw: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
    """The four stages, each (b, c, h / s, w / s), of an export's network loaded from its bytes."""
    weights = safetensors.torch.load(content)
    if card["timm"]:
        model: Any = timm.create_model(**card["timm"]).eval()
        model.load_state_dict(weights, strict=True)
        return model.forward_intermediates(x_bchw, intermediates_only=True)[-4:]
    model = build_encoder(config.Encoder.model_validate_json(json.dumps(card["encoder"])), card["cell"]).eval()
    model.load_state_dict(weights, strict=True)
    return model.dense(x_bchw)


def _card(facts: CheckpointState, encoder: Encoder, content: bytes) -> dict[str, Any]:
    settings = facts.config["model"]["encoder"]
    standard = encoder.variant == "standard"
    return {
        "architecture": settings["name"],
        "variant": settings["variant"],
        "timm": timm_arguments(encoder) if standard else None,
        "encoder": {key: settings[key] for key in ("name", "variant", "grn")},
        "cell": facts.config["model"]["cell"],
        "strides": list(encoder.strides),
        "dims": list(encoder.dims),
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "run": facts.config["run"]["name"],
        "step": facts.step,
        "rows_used": facts.rows_used,
        "config_hash": facts.config_hash,
        "manifest_sha256": facts.manifest_sha256,
        "commit": facts.commit,
        "versions": facts.versions,
        "weights_sha256": sha256_of(content),
        "untrained": "head.norm (identity; pretraining has no head)"
        if standard and "convnext" in settings["name"]
        else None,
    }


@contextlib.contextmanager
def local_checkpoint(path: str) -> Iterator[Path]:
    """Hold a checkpoint folder on this machine: `path` itself, the newest intact one of a run, or the one in `best/`.

    Raises:
        CheckpointError: no intact checkpoint there.
        StorageError: the place cannot be read.
    """
    storage = Storage(path, advice=Advice(damaged="use the previous checkpoint"))
    complaints = []
    for name in _candidates(storage):
        with contextlib.ExitStack() as held:
            try:
                folder = held.enter_context(local_copy(storage.url(name), _hashes(storage, name)))
                checkpoint.verify(folder)
            except (CheckpointError, DamagedFileError, MissingFileError) as error:
                complaints.append(str(error))
                continue
            yield folder
            return
    reason = complaints[0] if complaints else "neither a checkpoint folder nor a run with checkpoints/"
    raise CheckpointError(f"{path}: nothing to export: {reason}")


def _candidates(storage: Storage) -> list[str]:
    """Return the checkpoints of a folder, relative to it, in the order in which they are tried."""
    if storage.exists(checkpoint.LIST):
        return [""]
    best = storage.read_if_there("best.json")
    if best is not None:
        return [json.loads(best)["name"]]
    try:
        names = {entry.name.split("/")[1] for entry in storage.list("checkpoints") if entry.name.count("/") > 1}
    except MissingFileError:
        return []
    return [f"checkpoints/{name}" for name in sorted(names, reverse=True) if "step_" in name]


def _hashes(storage: Storage, name: str) -> dict[str, str | None]:
    """Return the files of a checkpoint with their SHA-256, so that a bad copy is noticed and made again."""
    content = storage.read(f"{name}/{checkpoint.LIST}" if name else checkpoint.LIST)
    return {checkpoint.LIST: None, **checkpoint.listed_hashes(content, storage.url(name))}
