"""From a checkpoint to weights that others load: the online encoder under timm's names, with a card, checked.

An export is a folder with `model.safetensors` and `card.json` (`videomac.records.card`). A `standard` network loads by
`timm.create_model(architecture, num_classes=0)` with `strict=True`; timm has no `paper` network, which loads into our
own dense class (`videomac.nn.networks.registry.build_encoder`).
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch

from videomac import config
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.networks.encoder import Encoder
from videomac.nn.networks.registry import build_encoder, timm_arguments, timm_state_dict
from videomac.pretrain import checkpoint
from videomac.pretrain.export_check import check_export
from videomac.pretrain.export_formats import add_huggingface_config, add_onnx
from videomac.pretrain.find_checkpoint import local_checkpoint
from videomac.records.card import CARD, WEIGHTS, Card
from videomac.records.checkpoint import CheckpointState
from videomac.storage.checksums import sha256_of
from videomac.storage.copies import uploaded


def export(settings: config.Export) -> Card:
    """Write an export in the form that the configuration asks for; return its card.

    Raises:
        CheckpointError: `checkpoint` is neither an intact checkpoint nor a run with one.
        ConfigError: an extra that the form needs is not installed.
        ExportError: the network does not have this form, or its features differ by more than the tolerance.
        StorageError: the checkpoint cannot be read or the export not be written.
    """
    card = export_checkpoint(settings.checkpoint, settings.out)
    if settings.format == "huggingface":
        add_huggingface_config(settings.out, card)
    elif settings.format == "onnx":
        add_onnx(settings.out, card)
    print(f"{settings.out}: {card.architecture} ({card.variant}), step {card.step} of {card.run}", flush=True)
    return card


def export_checkpoint(checkpoint_dir: str, out_dir: str) -> Card:
    """Export the online encoder of a checkpoint, or of a run's newest one, into a folder; return its card.

    Raises:
        CheckpointError: there is no intact checkpoint.
        ExportError: the exported network's dense features differ from the trained one's.
        StorageError: the checkpoint cannot be read or the export not be written.
    """
    with local_checkpoint(checkpoint_dir) as folder:
        state = checkpoint.verify(folder)
        encoder = load_encoder(folder, state)
    weights = timm_state_dict(encoder) if encoder.variant == "standard" else encoder.state_dict()
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()}, {"format": "pt"})
    card = _card(state, encoder, content)
    card = card.model_copy(update={"checked": check_export(encoder, content, card)})
    with uploaded(out_dir, last=CARD) as out:
        (out / WEIGHTS).write_bytes(content)
        (out / CARD).write_bytes(card.to_json(indent=2))
    return card


def load_encoder(folder: str | Path, state: CheckpointState) -> Encoder:
    """Return the online encoder of a checkpoint, in eval mode."""
    settings = config.Model.model_validate_json(json.dumps(state.config["model"]))
    encoder = build_encoder(settings.encoder, settings.cell)
    tensors = checkpoint.read_tensors(Path(folder) / "online.safetensors")
    ours = {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
    encoder.load_state_dict(ours, strict=True)
    return encoder.eval()


def _card(state: CheckpointState, encoder: Encoder, content: bytes) -> Card:
    settings = state.config["model"]["encoder"]
    is_standard = encoder.variant == "standard"
    has_head_norm = is_standard and "convnext" in settings["name"]
    return Card(
        architecture=settings["name"],
        variant=settings["variant"],
        timm=timm_arguments(encoder) if is_standard else None,
        encoder={key: settings[key] for key in ("name", "variant", "grn")},
        cell=state.config["model"]["cell"],
        strides=encoder.strides,
        dims=encoder.dims,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        run=state.config["run"]["name"],
        step=state.step,
        rows_used=state.rows_used,
        config_hash=state.config_hash,
        manifest_sha256=state.manifest_sha256,
        commit=state.commit,
        versions=state.versions,
        weights_sha256=sha256_of(content),
        untrained="head.norm (identity; pretraining has no head)" if has_head_norm else None,
    )
