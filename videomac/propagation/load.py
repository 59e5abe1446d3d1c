"""Load features: from a section of the configuration to an `Extractor`, with its weights checked."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from timm.models import load_state_dict
from torch import nn

from videomac import config
from videomac.errors import EvaluationError
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.networks.registry import build_encoder
from videomac.propagation import raw
from videomac.propagation.extractors import Extractor
from videomac.propagation.stages import find_stage
from videomac.records.card import CARD, WEIGHTS, Card
from videomac.records.evaluation import FeatureFacts, FeatureIdentity
from videomac.storage.checksums import Sha256, sha256_of, sha256_of_file

HEADS = ("head.", "fc.", "classifier.")
"""Weights of classifiers, which a file may have and a network without a head does not take."""
_ANY_SIZE = {
    ("swin",): {"strict_img_size": False},
    ("vit", "deit", "eva", "dino", "beit"): {"dynamic_img_size": True},
}
"""By words in timm's names: the argument that makes a network take frames of any size."""


def identify(source: config.Candidate, stage: int, seed: int = 0, stride_reduction: int = 1) -> FeatureIdentity:
    """Return what decides the features, without building the network.

    Raises:
        EvaluationError: a weights file or an export's card is missing.
    """
    if source.source in raw.KINDS:
        return FeatureIdentity(source=source.source, timm=timm.__version__, torch=torch.__version__)
    model = str(source.model)
    return FeatureIdentity(
        source=source.source,
        timm=timm.__version__,
        torch=torch.__version__,
        model=read_card(model).weights_sha256 if source.source == "export" else model,
        stage=stage,
        stride_reduction=stride_reduction,
        seed=seed if source.source == "random" else None,
        weights=None if source.weights is None else _hash_file(source.weights),
    )


def load_extractor(
    source: config.Candidate, stage: int, seed: int = 0, stride_reduction: int = 1, device: str = "cpu"
) -> Extractor:
    """Return the extractor of one set of features.

    Args:
        source: the section of the configuration.
        stage: counts levels of stride 4 and more from 0; in a plain vision transformer it counts blocks; -1 is the
            last (with the final norm, as in DINO's evaluation).
        seed: of untrained weights.
        stride_reduction: how many times denser the features are to be than the network's own.
        device: where the network runs.

    Raises:
        EvaluationError: no such model, file or stage; weights that do not fit; a stride that the network refuses.
    """
    if source.source in raw.KINDS:
        return raw.raw_extractor(source.source)
    identity = identify(source, stage, seed, stride_reduction)
    built = _build(source, identity)
    network = built.network.eval().requires_grad_(False).to(device)
    found = find_stage(network, stage, built.architecture, stride_reduction)
    facts = FeatureFacts(
        source=identity.source,
        stride_reduction=identity.stride_reduction,
        seed=identity.seed,
        architecture=built.architecture,
        variant=built.variant,
        stage=found.number,
        stride=found.stride,
        weights_sha256=built.weights_sha256,
        run=built.run,
        step=built.step,
        config_hash=built.config_hash,
    )
    return Extractor(found.run, found.stride, found.multiple, facts, built.mean, built.std)


def read_card(folder: str | Path) -> Card:
    """Return the card of an export folder.

    Raises:
        EvaluationError: it is not there, or lacks a field.
    """
    path = Path(folder) / CARD
    try:
        return Card.from_json(path.read_bytes(), str(path), EvaluationError)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot read an export's card ({error}); make one: videomac export") from error


@dataclasses.dataclass(frozen=True)
class _Built:
    """A network with its weights, and what is known of it."""

    network: nn.Module
    architecture: str
    weights_sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    variant: str = "standard"
    run: str | None = None
    step: int | None = None
    config_hash: str | None = None


def _build(source: config.Candidate, identity: FeatureIdentity) -> _Built:
    model = str(source.model)
    card = read_card(model) if (Path(model) / CARD).is_file() else None
    if identity.seed is not None:
        torch.manual_seed(identity.seed)
    if card is not None and not card.timm:
        network: Any = build_encoder(config.Encoder.model_validate(card.encoder), card.cell or 32)
    else:
        arguments = card.timm if card and card.timm else {"model_name": model}
        network = _timm_network(arguments, source.source == "timm" and source.weights is None, source.label)
    weights_sha256 = _load_weights(network, source, identity, card)
    if card is not None:
        origin = {"run": card.run, "step": card.step, "config_hash": card.config_hash}
        return _Built(network, card.architecture, weights_sha256, card.mean, card.std, card.variant, **origin)
    normalisation = network.pretrained_cfg
    mean, std = normalisation.get("mean", IMAGENET_MEAN), normalisation.get("std", IMAGENET_STD)
    return _Built(network, model, weights_sha256, tuple(mean), tuple(std))


def _load_weights(network: nn.Module, source: config.Candidate, identity: FeatureIdentity, card: Card | None) -> str:
    """Load the weights that the source names, if any; return the SHA-256 of what the network then has."""
    if source.source == "export":
        assert card is not None, "identify has read it"
        _load_export(network, Path(str(source.model)) / WEIGHTS, card)
        return card.weights_sha256
    if source.weights is not None:
        _load_file(network, source.weights)
    return identity.weights or _hash_tensors(network)


def _timm_network(arguments: dict[str, Any], pretrained: bool, label: str) -> Any:
    arguments = {"num_classes": 0, **arguments}
    name = arguments["model_name"]
    any_size: dict[str, Any] = next(
        (keys for words, keys in _ANY_SIZE.items() if any(word in name for word in words)), {}
    )
    try:
        with contextlib.suppress(TypeError):  # a model family without this argument
            return timm.create_model(**arguments, **any_size, pretrained=pretrained)
        return timm.create_model(**arguments, pretrained=pretrained)
    except (RuntimeError, ValueError, TypeError, AssertionError, OSError) as error:
        hint = "; if its weights cannot be downloaded here, give weights=FILE" if pretrained else ""
        raise EvaluationError(f"features {label!r}: timm cannot make {name!r} ({error}){hint}") from error


def _load_export(network: nn.Module, path: Path, card: Card) -> None:
    try:
        content = path.read_bytes()
        found = sha256_of(content)
        if found != card.weights_sha256:
            raise EvaluationError(
                f"{path}: SHA-256 is {found[:12]}..., but the card says {card.weights_sha256[:12]}...; the export was "
                "changed after it was written: export the checkpoint again"
            )
        network.load_state_dict(safetensors.torch.load(content), strict=True)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise EvaluationError(f"{path}: weights do not load into {card.architecture}: {error}") from error


def _load_file(network: nn.Module, weights: str) -> None:
    """Load a safetensors or pth file by timm's rules, without unpickling; a classifier's weights are left out."""
    try:
        state = load_state_dict(weights, weights_only=True)
        missing, unexpected = network.load_state_dict(state, strict=False)
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise EvaluationError(f"{weights}: weights do not load into {type(network).__name__}: {error}") from error
    strange = [name for name in unexpected if not name.startswith(HEADS)]
    if missing or strange:
        raise EvaluationError(
            f"{weights}: not the weights of this network: missing {missing[:3]}, unknown {strange[:3]}; give the timm "
            "name that they were trained under"
        )


def _hash_file(weights: str) -> str:
    try:
        return sha256_of_file(weights)
    except OSError as error:
        raise EvaluationError(f"{weights}: weights cannot be read ({error})") from error


def _hash_tensors(network: nn.Module) -> str:
    digest = Sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.add(name.encode())
        digest.add(tensor.contiguous().numpy().tobytes())
    return digest.hex
