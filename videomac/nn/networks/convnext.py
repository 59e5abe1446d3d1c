"""ConvNeXt V1 (Liu et al., CVPR 2022) and V2 (Woo et al., CVPR 2023) as masked encoders, with timm's parameter names.

`standard` is timm's network. `paper` is the published VideoMAC code's: LayerNorm after every stage, in line, no layer
scale in V1, GRN over the batch. With total stride 16 the last stage is dilated, as in timm (`output_stride`).

Shape letters: as in nn/networks/encoder.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videomac.nn.drop_path import scaled
from videomac.nn.grn import GlobalResponseNorm
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.sites.protocol import Features, Sites

NORM_EPS = 1e-6
LAYER_SCALE = 1e-6
"""timm's initial layer scale of V1."""


class Mlp(nn.Module):
    """Linear, GELU, GRN (V2), linear; `as_conv`: with the shapes of 1x1 convolutions (timm's small sizes)."""

    def __init__(self, dim: int, grn: Literal["image", "batch"] | None, as_conv: bool):
        super().__init__()
        self.fc1 = _linear(dim, 4 * dim, as_conv)
        if grn:
            self.grn = GlobalResponseNorm(4 * dim, grn)
        self.fc2 = _linear(4 * dim, dim, as_conv)

    def forward(self, x: Features, sites: Sites[Features]) -> Features:
        """Apply the same layers at every site; GRN sees all of them."""
        hidden = F.gelu(sites.linear(x, self.fc1))
        if hasattr(self, "grn"):
            hidden = self.grn(sites.zero_hidden(hidden), sites.valid_b)
        return sites.linear(hidden, self.fc2)


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, Mlp, residual."""

    def __init__(
        self,
        dim: int,
        grn: Literal["image", "batch"] | None,
        layer_scale: bool = False,
        as_conv: bool = False,
        dilation: int = 1,
    ):
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, 7, padding=3 * dilation, dilation=dilation, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, grn, as_conv)
        self.gamma = nn.Parameter(torch.full((dim,), LAYER_SCALE)) if layer_scale else None

    def forward(self, x: Features, sites: Sites[Features], scale_b: Float[Tensor, " b"] | None = None) -> Features:
        """Return x plus the branch, scaled by drop path."""
        branch = self.mlp(self.norm(sites.conv(x, self.conv_dw)), sites)
        if self.gamma is not None:
            branch = branch * self.gamma
        return x + scaled(sites.zero_hidden(branch), scale_b)


class Stage(nn.Module):
    """Downsampling (except in the first stage) and blocks: a container for timm's names."""

    def __init__(self, downsample: nn.Sequential | None, blocks: list[Block]):
        super().__init__()
        if downsample is not None:
            self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def downsampled(self, x: Features, sites: Sites[Features]) -> Features:
        """Apply LayerNorm and the strided convolution."""
        if not hasattr(self, "downsample"):
            return x
        norm, conv = self.downsample
        assert isinstance(conv, nn.Conv2d)
        return sites.conv(sites.zero_hidden(norm(x)), conv)


class ConvNeXt(Encoder):
    """Four stages; with `in_line_norms` (`paper`) a LayerNorm follows each, and the next stage gets its result."""

    def __init__(
        self,
        spec: EncoderSpec,
        depths: Sequence[int],
        dims: Sequence[int],
        *,
        grn: Literal["image", "batch"] | None,
        layer_scale: bool = False,
        as_conv: bool = False,
        in_line_norms: bool = False,
    ):
        super().__init__(spec, depths, dims)
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), nn.LayerNorm(dims[0], eps=NORM_EPS))
        self.stages = nn.Sequential()
        for i, (depth, dim) in enumerate(zip(depths, dims, strict=True)):
            dilated = i > 0 and self.strides[i] == self.strides[i - 1]
            blocks = [Block(dim, grn, layer_scale, as_conv, 2 if dilated else 1) for _ in range(depth)]
            self.stages.append(Stage(_downsample(dims[i - 1], dim, dilated) if i else None, blocks))
        if in_line_norms:
            self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=NORM_EPS) for dim in dims)

    def trunk(
        self, sites: Sites[Features], x_bchw: Float[Tensor, "b 3 h w"], uniform_bl: Float[Tensor, "b l"] | None
    ) -> list[Features]:
        """Return all stages as maps of the backend."""
        conv, norm = self.stem
        assert isinstance(conv, nn.Conv2d)
        x = sites.zero_hidden(norm(sites.conv(sites.image(x_bchw), conv)))
        stages = []
        for i, scales in enumerate(self.drop_scales(uniform_bl)):
            stage = self.stages[i]
            assert isinstance(stage, Stage)
            x = self.run(list(stage.blocks), stage.downsampled(x, sites), sites, scales)
            if hasattr(self, "norms"):
                x = sites.zero_hidden(self.norms[i](x))
            stages.append(x)
        return stages


def _linear(dim_in: int, dim_out: int, as_conv: bool) -> nn.Linear | nn.Conv2d:
    return nn.Conv2d(dim_in, dim_out, 1) if as_conv else nn.Linear(dim_in, dim_out)


def _downsample(dim_in: int, dim_out: int, dilated: bool) -> nn.Sequential:
    stride, padding = (1, "same") if dilated else (2, 0)
    return nn.Sequential(nn.LayerNorm(dim_in, eps=NORM_EPS), nn.Conv2d(dim_in, dim_out, 2, stride, padding))
