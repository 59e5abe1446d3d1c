"""The masked autoencoder, which the online and the target network are, and how it is built from the configuration.

Shape letters: b pairs, c channels, h w pixels, k visible cells, n all cells, t sites across a cell, d pixel values of
a cell, l blocks of the encoder.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from videomac import config
from videomac.facts.grid import grid_of
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.nn.networks.decoder import Decoder
from videomac.nn.networks.encoder import Encoder
from videomac.nn.networks.registry import build_encoder


class MaskedAutoencoder(nn.Module):
    """Sparse encoder and dense decoder: predicts every cell of a frame from its visible cells."""

    encoder: Encoder
    decoder: Decoder

    def __init__(self, encoder: Encoder, decoder: Decoder, cell: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.cell = cell

    def forward(
        self,
        x_bchw: Float[Tensor, "b c h w"],
        cells_bk: Int[Tensor, "b k"],
        valid_b: Bool[Tensor, " b"] | None = None,
        uniform_bl: Float[Tensor, "b l"] | None = None,
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b k t t f"]]:
        """Return the predicted pixels of every cell, and the encoder's last stage.

        `valid_b` keeps bad rows out of norm statistics. `uniform_bl` decides drop path, which so depends on the row
        alone and not on the worker that computes it.
        """
        last_bkttc = self.encoder(x_bchw, cells_bk, valid_b, uniform_bl)[-1]
        grid = grid_of(x_bchw.shape[2], x_bchw.shape[3], self.cell)
        return self.decoder(last_bkttc, cells_bk, grid), last_bkttc


def build_model(settings: config.Model, seed: int) -> MaskedAutoencoder:
    """Return the network with weights that depend on `seed` alone; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(settings.encoder, settings.cell)
        decoder = Decoder(
            encoder.dims[-1], settings.decoder_dim, settings.decoder_depth, settings.cell, settings.encoder.variant
        )
    return MaskedAutoencoder(encoder, decoder, settings.cell)


def normalise_frames(frames_b2hwc: Tensor) -> Float[Tensor, "b 2 c h w"]:
    """Return uint8 frames as float32, normalized by ImageNet's mean and standard deviation, channels first."""
    mean = torch.tensor(IMAGENET_MEAN, device=frames_b2hwc.device) * 255
    std = torch.tensor(IMAGENET_STD, device=frames_b2hwc.device) * 255
    return ((frames_b2hwc - mean) / std).permute(0, 1, 4, 2, 3)
