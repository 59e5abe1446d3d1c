"""Weights to start from: a timm model or file, an export, a checkpoint of ours or of the published code, or a run.

Nothing is unpickled: `.pth` files are read with `weights_only=True`, where a checkpoint's `args` (an
`argparse.Namespace` of plain values) is the one class that is let in.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from videomac.errors import CheckpointError
from videomac.nn.networks.videomac_weights import from_published
from videomac.pretrain import checkpoint
from videomac.pretrain.find_checkpoint import local_checkpoint
from videomac.pretrain.model import MaskedAutoencoder
from videomac.storage.copies import is_folder, local_copy
from videomac.storage.entries import Advice

NESTED = ("online_without_ddp", "model_online", "model", "state_dict")
"""Where training scripts put the weights in a checkpoint; the first that is there."""
TIMM_HEADS = ("head.", "fc.", "norm_pre.")
"""What a timm model has beyond our encoder's stages."""


def load_initial_weights(model: MaskedAutoencoder, source: str) -> None:
    """Set the encoder's weights, and the decoder's if `source` has them in the same shapes.

    Raises:
        CheckpointError: nothing there, or weights of another network.
    """
    state = read_weights(source)
    encoder = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
    decoder = {name.removeprefix("decoder."): t for name, t in state.items() if name.startswith("decoder.")}
    if not encoder:
        encoder = {name: t for name, t in state.items() if not name.startswith(TIMM_HEADS)}
    checkpoint.refuse_other_shapes(
        f"model.encoder.init: {source}", encoder, model.encoder.state_dict(), "check model.encoder.name and variant"
    )
    model.encoder.load_state_dict(encoder, strict=True)
    if not checkpoint.differing_shapes(decoder, model.decoder.state_dict()):
        model.decoder.load_state_dict(decoder, strict=True)


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the weights of a file or folder (a path or URL) or timm name, under our names or timm's.

    Raises:
        CheckpointError: nothing there that can be read without unpickling.
    """
    if "://" in source:
        with _local(source) as copy:
            return read_weights(str(copy))
    path = Path(source)
    if (path / "files.json").is_file() or (path / "checkpoints").is_dir():
        with local_checkpoint(source) as folder:
            return checkpoint.read_tensors(folder / "online.safetensors")
    if (path / "model.safetensors").is_file():
        return checkpoint.read_tensors(path / "model.safetensors")
    if path.suffix == ".safetensors":
        return checkpoint.read_tensors(path)
    if path.is_file():
        return _in_our_names(_read_pth(path))
    if timm.is_model(source.split(".")[0]):
        return timm.create_model(source, pretrained=True, num_classes=0).state_dict()
    raise CheckpointError(
        f"model.encoder.init: {source}: expected a .safetensors or .pth file, a folder with model.safetensors, "
        "a checkpoint folder, a run, or a timm name"
    )


def _local(url: str) -> contextlib.AbstractContextManager[Path]:
    """Hold a copy of a file or folder; of a run, of its newest intact checkpoint."""
    if is_folder(f"{url}/checkpoints"):
        return local_checkpoint(url)
    return local_copy(url, advice=Advice(missing="correct model.encoder.init"))


def _read_pth(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path}: cannot be read with weights_only=True ({reason})") from error
    nested = next((content[key] for key in NESTED if isinstance(content.get(key), dict)), content)
    return {name: value for name, value in nested.items() if isinstance(value, Tensor)}


def _in_our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under our names; MinkowskiEngine's kernels tell the published code's layout."""
    published = any(name.endswith(".kernel") for name in state)
    return from_published(state) if published else {name.removeprefix("module."): t for name, t in state.items()}
