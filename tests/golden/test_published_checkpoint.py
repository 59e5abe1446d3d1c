"""A run can start from a checkpoint in the layout of the published training script, with its argparse arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.test_published import DATA, TINY, Autoencoder
from videomac.errors import CheckpointError
from videomac.nn.networks.videomac_weights import from_published
from videomac.pretrain.init import load_initial_weights
from videomac.pretrain.model import MaskedAutoencoder


def published_checkpoint(name: str, folder: Path) -> tuple[str, dict[str, torch.Tensor]]:
    golden = np.load(DATA / f"{name}_tiny.npz")
    online = {key[6:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("param/")}
    target = {key: 0.875 * value for key, value in online.items()}
    content = {
        "model_online": {f"module.{key}": value for key, value in online.items()},
        "model_target": {f"module.{key}": value for key, value in target.items()},
        "online_without_ddp": online,
        "target_without_ddp": target,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "epoch": 99,
        "scaler": {},
        "args": argparse.Namespace(model=name, blr=1e-3, mask_ratio=0.75, output_dir="out"),
    }
    torch.save(content, folder / "checkpoint-99.pth")
    return str(folder / "checkpoint-99.pth"), online


def fresh(name: str, decoder_dim: int = 16) -> MaskedAutoencoder:
    model = Autoencoder(*TINY[name], decoder_dim)
    return MaskedAutoencoder(model.encoder, model.decoder, 32)


@pytest.mark.parametrize("name", TINY)
def test_encoder_and_decoder_start_from_it(name, tmp_path):
    path, online = published_checkpoint(name, tmp_path)
    model = fresh(name)
    load_initial_weights(model, path)
    for key, value in from_published(online).items():
        assert torch.equal(model.state_dict()[key], value), key


def test_a_different_network_is_refused_by_name(tmp_path):
    path, _ = published_checkpoint("mac_r18", tmp_path)
    with pytest.raises(CheckpointError, match="the weights do not match this model"):
        load_initial_weights(fresh("mac_r50"), path)
