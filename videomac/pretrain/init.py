"""Weights to start from: a timm file, an export, a checkpoint of ours or of the published code."""

from __future__ import annotations

from pathlib import Path

from videomac.errors import CheckpointError
from videomac.pretrain.checkpoint import read_tensors, verify
from videomac.pretrain.model import MaskedAutoencoder


def load_initial_weights(model: MaskedAutoencoder, source: str) -> None:
    """Sets the encoder's weights (from a checkpoint of ours: the decoder's too) before the target is copied from it.

    Raises:
        CheckpointError: nothing there, or weights of another network.
    """
    path = Path(source)
    if (path / "files.json").is_file():
        verify(path)
        model.load_state_dict(read_tensors(path / "online.safetensors"), strict=True)
    else:
        raise CheckpointError(f"model.encoder.init: {source}: not supported yet")
