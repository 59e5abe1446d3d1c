"""`paper` networks reproduce the published implementation: losses, predictions, stages and every gradient."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from videomac.facts.networks import SIZES, Size
from videomac.nn.masking import unpack
from videomac.nn.networks.decoder import Decoder
from videomac.nn.networks.encoder import EncoderSpec
from videomac.nn.networks.registry import build_network
from videomac.nn.networks.videomac_weights import from_published, our_layout, our_name
from videomac.pretrain.losses import pair_errors

DATA = Path(__file__).parent / "data"
TINY = {
    "mac_tiny": (Size("convnextv2", (1, 1, 2, 1), (8, 16, 32, 64)), 64),
    "mac_cnxv1_tiny": (Size("convnext", (1, 1, 2, 1), (8, 16, 32, 64)), 64),
    "mac_r18": (Size("basic", (1, 1, 2, 1), (8, 16, 32, 48)), 8),
    "mac_r50": (Size("bottleneck", (1, 1, 2, 1), (4, 8, 16, 32)), 4),
}
FULL = {
    "mac_tiny": "convnextv2_tiny",
    "mac_cnxv1_tiny": "convnext_tiny",
    "mac_r18": "resnet18",
    "mac_r50": "resnet50",
}


class Autoencoder(nn.Module):
    """Encoder and decoder as the published code calls them, in its three losses."""

    def __init__(self, size: Size, stem: int, decoder_dim: int):
        super().__init__()
        self.encoder = build_network(size, EncoderSpec(variant="paper"), stem=stem)
        self.decoder = Decoder(self.encoder.dims[-1], decoder_dim, 1, 32)

    def forward(self, x_bchw, cells_bk):
        grid = (x_bchw.shape[2] // 32, x_bchw.shape[3] // 32)
        stages = self.encoder(x_bchw, cells_bk)
        maps = [unpack(stage, cells_bk, grid).permute(0, 3, 1, 2) for stage in stages]
        return maps, self.decoder(stages[-1], cells_bk, grid)


def losses(pred_bnd, target_pred_bnd, frame1, frame2, cells_bk):
    """Means over the masked cells of the batch, as `train_step` takes them: sums of `pair_errors`, divided once."""
    errors = pair_errors(pred_bnd, target_pred_bnd, frame1, frame2, cells_bk, 32)
    cells = len(pred_bnd) * (pred_bnd.shape[1] - cells_bk.shape[1])
    online, target, consistency = (error_b.sum() / cells for error_b in errors)
    return {"online": online, "target": target, "cons": consistency, "total": online + target + consistency}


def run(golden, model, target, frame1, frame2):
    removed_bn = torch.from_numpy(golden["mask"])
    keep = int((removed_bn[0] == 0).sum())
    cells_bk = torch.stack([(row == 0).nonzero().flatten() for row in removed_bn])
    assert cells_bk.shape[1] == keep
    stages, pred_bnd = model(frame1, cells_bk)
    with torch.no_grad():
        _, target_pred_bnd = target(frame2, cells_bk)
    loss = losses(pred_bnd, target_pred_bnd, frame1, frame2, cells_bk)
    loss["total"].backward()
    for name, value in loss.items():
        np.testing.assert_allclose(value.item(), golden[f"loss_{name}"], rtol=1e-5, err_msg=name)
    return stages, pred_bnd, target_pred_bnd


def assert_close(value, wanted, tolerance, name=""):
    value, wanted = value.detach().double(), torch.from_numpy(np.asarray(wanted)).double()
    assert value.shape == wanted.shape, name
    assert (value - wanted).abs().max() <= tolerance * wanted.abs().max(), name


def as_target(model, size, stem, dim):
    target = Autoencoder(size, stem, dim)
    target.load_state_dict({name: 0.875 * value for name, value in model.state_dict().items()})
    return target


@pytest.mark.parametrize("backend", ["packed", "masked"])
@pytest.mark.parametrize("name", TINY)
def test_tiny(name, backend):
    golden = np.load(DATA / f"{name}_tiny.npz")
    size, stem = TINY[name]
    model = Autoencoder(size, stem, 16)
    published = {
        key.removeprefix("param/"): torch.from_numpy(golden[key]) for key in golden if key.startswith("param/")
    }
    model.load_state_dict(from_published(published), strict=True)
    model.encoder.backend = backend
    frame1, frame2 = (torch.from_numpy(golden[key]) for key in ("frame1", "frame2"))
    stages, pred_bnd, target_pred_bnd = run(golden, model, as_target(model, size, stem, 16), frame1, frame2)
    for i, stage in enumerate(stages):
        assert_close(stage, golden[f"stage{i}"], 1e-5, f"stage{i}")
    assert_close(pred_bnd.transpose(1, 2).unflatten(2, (3, 3)), golden["pred_online"], 1e-5)
    assert_close(target_pred_bnd.transpose(1, 2).unflatten(2, (3, 3)), golden["pred_target"], 1e-5)
    gradients = from_published({key: torch.from_numpy(golden[f"grad/{key}"]) for key in published})
    for key, parameter in model.named_parameters():
        assert_close(parameter.grad, gradients.pop(key), 5e-5, key)
    assert not gradients


@pytest.mark.parametrize("name", TINY)
def test_tiny_sample_alone(name):
    """An image alone gives what it gives in a batch of two, except where GRN spans the batch."""
    golden = np.load(DATA / f"{name}_tiny.npz")
    size, stem = TINY[name]
    model = Autoencoder(size, stem, 16)
    model.load_state_dict(
        from_published({key[6:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("param/")})
    )
    frame1 = torch.from_numpy(golden["frame1"])
    for i in range(2):
        cells_bk = torch.from_numpy(golden["mask"][i] == 0).nonzero().flatten().unsqueeze(0)
        stages, _ = model(frame1[i : i + 1], cells_bk)
        assert_close(stages[3], golden[f"stage3_sample{i}_alone"], 1e-5)


def seeded_parameters(golden, model, seed):
    """The recipe of the data's README: numpy's RandomState over sorted published names, cast to float32."""
    random, digest, state = np.random.RandomState(seed), hashlib.sha256(), {}
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    resnet = "resnet" in type(model.encoder).__name__.lower()
    for name in sorted(str(name) for name in golden["param_names"]):
        shape = published_shape(name, shapes[our_name(name, resnet)])
        z = random.standard_normal(shape)
        scale_only = len(shape) == 1 and name.endswith("weight")
        value = (0.2 * z if "grn" in name else 1 + 0.02 * z if scale_only else 0.02 * z).astype(np.float32)
        digest.update(np.ascontiguousarray(value).tobytes())
        state[our_name(name, resnet)] = our_layout(name, torch.from_numpy(value))
    assert digest.hexdigest() == json.loads(str(golden["meta"]))["sha256_of_params_sorted_by_name_float32_C_order"]
    return state


def published_shape(name, ours):
    if name.endswith(".kernel"):
        out, into, side, _ = ours
        depthwise, shortcut = "dwconv" in name, "downsample.0" in name and "layer1" not in name
        if depthwise:
            return (side * side, out)
        return (into, out) if side == 1 and not shortcut else (side * side, into, out)
    if name == "mask_token":
        return (1, *ours, 1, 1)
    if ".grn." in name:
        return (1, *ours) if name.startswith("encoder.") else (1, 1, 1, *ours)
    beside_a_kernel = re.fullmatch(r"encoder\.(stages\..*\.dwconv|downsample_layers\.[123]\.1)\.bias", name)
    return (1, *ours) if beside_a_kernel else tuple(ours)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_size(name):
    golden = np.load(DATA / f"{name}_224.npz")
    size, seed = SIZES[FULL[name]], list(FULL).index(name)
    model = Autoencoder(size, 64, 512)
    model.load_state_dict(seeded_parameters(golden, model, seed), strict=True)
    random = np.random.RandomState(200 + seed)
    first = random.standard_normal((2, 3, 224, 224)).astype(np.float32)
    second = (0.8 * first.astype(np.float64) + 0.6 * random.standard_normal(first.shape)).astype(np.float32)
    frame1, frame2 = torch.from_numpy(first), torch.from_numpy(second)
    stages, pred_bnd, target_pred_bnd = run(golden, model, as_target(model, size, 64, 512), frame1, frame2)
    for i, stage in enumerate(stages):
        assert tuple(stage.shape) == tuple(golden[f"stage{i}_shape"])
        assert_close_at(stage, golden[f"stage{i}_index"], golden[f"stage{i}_at"], golden[f"stage{i}_l2"])
    assert_close_at(pred_bnd.transpose(1, 2), golden["pred_index"], golden["pred_online_at"], golden["pred_online_l2"])
    assert_close_at(
        target_pred_bnd.transpose(1, 2), golden["pred_index"], golden["pred_target_at"], golden["pred_target_l2"]
    )
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    resnet = name in ("mac_r18", "mac_r50")
    for key, norm in zip(golden["param_names"], golden["grad_norm"], strict=True):
        ours = gradients.pop(our_name(str(key), resnet)).double().norm().item()
        assert ours == pytest.approx(norm, rel=5e-5), key
    assert not gradients


def assert_close_at(value, index, wanted, l2):
    value = value.detach().double().flatten()
    assert value.norm().item() == pytest.approx(float(l2), rel=1e-5)
    assert (value[torch.from_numpy(index)] - torch.from_numpy(wanted)).abs().max() <= 1e-5 * value.abs().max()
