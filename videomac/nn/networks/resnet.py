"""ResNet (He et al., CVPR 2016) as a masked encoder, with timm's parameter names.

`standard` is timm's network: 7x7 stem, max-pool, BatchNorm over visible sites, ReLU. `paper` is the published VideoMAC
code's: 4x4/4 patchify stem, LayerNorm wherever there is a norm (under timm's names `bn1`...), GELU, no max-pool. With
total stride 16 the last stage is dilated as in timm (`output_stride`).

Shape letters: as in nn/networks/encoder.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videomac.nn.batchnorm import SiteBatchNorm
from videomac.nn.drop_path import scaled
from videomac.nn.networks.encoder import Encoder, EncoderSpec
from videomac.nn.sites.protocol import Features, Sites

NORM_EPS = 1e-6


class SiteLayerNorm(nn.Module):
    """LayerNorm in the place of a BatchNorm, in `paper` ResNets; with LayerNorm's parameter names."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Features, sites: Sites[Features]) -> Features:
        """Normalise every site by itself."""
        return sites.zero_hidden(F.layer_norm(x, self.weight.shape, self.weight, self.bias, NORM_EPS))


Norm = Callable[[int], SiteLayerNorm | SiteBatchNorm]


class ResidualBlock(nn.Module):
    """Convolutions, each with its norm, and a shortcut: the shape of both ResNet blocks."""

    expansion: int

    def __init__(self, layers: list[nn.Conv2d], norm: Norm, shortcut: nn.Conv2d | None, gelu: bool):
        super().__init__()
        for i, conv in enumerate(layers, 1):
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", norm(conv.out_channels))
        if shortcut is not None:
            self.downsample = nn.Sequential(shortcut, norm(shortcut.out_channels))
        self.convs = len(layers)
        self.activation = F.gelu if gelu else F.relu

    def conv_and_norm(self, i: int) -> tuple[nn.Conv2d, SiteLayerNorm | SiteBatchNorm]:
        """Return the i-th convolution, counted from 1, and its norm."""
        conv, norm = self.get_submodule(f"conv{i}"), self.get_submodule(f"bn{i}")
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, SiteLayerNorm | SiteBatchNorm)
        return conv, norm

    def last_norm(self) -> SiteLayerNorm | SiteBatchNorm:
        """Return the norm whose weight timm initialises with zeros if it is a BatchNorm."""
        return self.conv_and_norm(self.convs)[1]

    def forward(self, x: Features, sites: Sites[Features], scale_b: Float[Tensor, " b"] | None = None) -> Features:
        """Return the activation of shortcut plus branch, the branch scaled by drop path."""
        branch = x
        for i in range(1, self.convs + 1):
            conv, norm = self.conv_and_norm(i)
            branch = norm(sites.conv(branch, conv), sites)
            if i < self.convs:
                branch = self.activation(branch)
        if hasattr(self, "downsample"):
            conv, norm = self.downsample
            assert isinstance(conv, nn.Conv2d)
            x = norm(sites.conv(x, conv), sites)
        return self.activation(scaled(branch, scale_b) + x)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, dim_in: int, width: int, stride: int, dilations: tuple[int, int], norm: Norm, gelu: bool):
        layers = [_conv3(dim_in, width, stride, dilations[0]), _conv3(width, width, 1, dilations[1])]
        super().__init__(layers, norm, _shortcut(dim_in, width, stride), gelu)


class Bottleneck(ResidualBlock):
    """1x1, 3x3 (with the stride), 1x1 to four times the width."""

    expansion = 4

    def __init__(self, dim_in: int, width: int, stride: int, dilations: tuple[int, int], norm: Norm, gelu: bool):
        layers = [
            nn.Conv2d(dim_in, width, 1, bias=False),
            _conv3(width, width, stride, dilations[0]),
            nn.Conv2d(width, 4 * width, 1, bias=False),
        ]
        super().__init__(layers, norm, _shortcut(dim_in, 4 * width, stride), gelu)


class ResNet(Encoder):
    """Four stages of residual blocks."""

    def __init__(
        self,
        spec: EncoderSpec,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int],
        *,
        stem: int = 64,
    ):
        super().__init__(spec, depths, [width * block.expansion for width in widths])
        self.paper = paper = spec.variant == "paper"
        norm = SiteLayerNorm if paper else SiteBatchNorm
        self.conv1 = nn.Conv2d(3, stem, 4, 4) if paper else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = norm(stem)
        dim_in = stem
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            stage = _stage(block, depth, dim_in, width, (1, *self.strides)[i : i + 2], norm, paper)
            self.add_module(f"layer{i + 1}", stage)
            dim_in = self.dims[i]

    def trunk(
        self, sites: Sites[Features], x_bchw: Float[Tensor, "b 3 h w"], uniform_bl: Float[Tensor, "b l"] | None
    ) -> list[Features]:
        """Return all stages as maps of the backend."""
        x = self.bn1(sites.conv(sites.image(x_bchw), self.conv1), sites)
        if not self.paper:
            x = sites.max_pool(F.relu(x))
        stages = []
        for i, scales in enumerate(self.drop_scales(uniform_bl), 1):
            x = self.run(list(self.get_submodule(f"layer{i}").children()), x, sites, scales)
            stages.append(x)
        return stages


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    depth: int,
    dim_in: int,
    width: int,
    strides: tuple[int, ...],
    norm: Norm,
    gelu: bool,
) -> nn.Sequential:
    """Return the blocks of one stage.

    The first block takes the stride. After a dropped stride every kernel is dilated except the very first.
    """
    before, after = strides
    stride, dilation = (1, 2) if before == after else (1 if before == 1 else 2, 1)
    blocks = [block(dim_in, width, stride, (1, dilation), norm, gelu)]
    blocks += [block(width * block.expansion, width, 1, (dilation, dilation), norm, gelu) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _conv3(dim_in: int, dim_out: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(dim_in, dim_out, 3, stride, dilation, dilation, bias=False)


def _shortcut(dim_in: int, dim_out: int, stride: int) -> nn.Conv2d | None:
    same = stride == 1 and dim_in == dim_out
    return None if same else nn.Conv2d(dim_in, dim_out, 1, stride, bias=False)
