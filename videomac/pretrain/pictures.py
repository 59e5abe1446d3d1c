"""Reconstruction pictures: what the networks see and what they predict, for both frames of a few pairs.

Shape letters: b pairs, n cells, k visible cells, d pixel values of a cell, c channels, h w pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from videomac.data.batch import Batch
from videomac.facts.grid import grid_of
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.masking import cells_to_visible
from videomac.nn.patches import denormalise_cells, patchify, unpatchify
from videomac.pretrain.model import MaskedAutoencoder, normalise_frames
from videomac.pretrain.step import TrainState


@torch.no_grad()
def reconstructions(state: TrainState, batch: Batch, pairs: int) -> dict[str, np.ndarray]:
    """Return uint8 arrays (pairs, 2, H, W, 3): `input`, `visible` (gray where hidden), `online`, `target`.

    The true mean and variance of each cell undo the normalization of the predictions, and visible cells show the input:
    a picture shows structure, not colors that the network could know.
    """
    good = _distinct(batch, pairs)
    frames = normalise_frames(batch.frames_b2hwc[good].to(state.device))
    cells_bk = batch.cells_bk[good].to(state.device)
    columns: dict[str, list[Tensor]] = {name: [] for name in ("input", "visible", "online", "target")}
    was_training = state.online.training
    state.online.eval()
    for frame_bchw in frames.unbind(1):
        columns["input"].append(frame_bchw)
        columns["visible"].append(_composed(frame_bchw, None, cells_bk, state))
        for name, network in (("online", state.online), ("target", state.target)):
            columns[name].append(_composed(frame_bchw, network, cells_bk, state))
    state.online.train(was_training)
    return {name: _as_uint8(torch.stack(images, 1)) for name, images in columns.items()}


def _distinct(batch: Batch, pairs: int) -> list[int]:
    """Return the indices of good pairs, of as many different clips as possible."""
    places = [i for i, weight in enumerate(batch.weight_b.tolist()) if weight > 0]
    repeats = {i: sum(batch.keys[j] == batch.keys[i] for j in places if j < i) for i in places}
    return sorted(places, key=repeats.__getitem__)[:pairs]


def _composed(
    frame_bchw: Float[Tensor, "b c h w"],
    network: MaskedAutoencoder | None,
    cells_bk: Int[Tensor, "b k"],
    state: TrainState,
) -> Float[Tensor, "b c h w"]:
    """Return the frame with its hidden cells replaced by the prediction, or by zeros (ImageNet's mean color)."""
    model = state.settings.model
    true_bnd = patchify(frame_bchw, model.cell)
    hidden_bnd = torch.zeros_like(true_bnd)
    if network is not None:
        predicted_bnd = network(frame_bchw, cells_bk)[0].float()
        hidden_bnd = denormalise_cells(predicted_bnd, true_bnd) if model.norm_target else predicted_bnd
    visible_bn = cells_to_visible(cells_bk, true_bnd.shape[1])
    grid = grid_of(frame_bchw.shape[2], frame_bchw.shape[3], model.cell)
    return unpatchify(torch.where(visible_bn[:, :, None], true_bnd, hidden_bnd), model.cell, grid)


def _as_uint8(images_b2chw: Float[Tensor, "b 2 c h w"]) -> UInt8[np.ndarray, "b 2 h w c"]:
    images_b2hwc = images_b2chw.permute(0, 1, 3, 4, 2).cpu()
    pixels = images_b2hwc * torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
