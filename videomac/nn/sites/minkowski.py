"""MinkowskiEngine 0.5.4 as a backend: its convolutions and pooling on the packed sites, for comparison and measurement.

An extra (`make minkowski`; Choy et al., CVPR 2019). Sites stay in packed order, so everything pointwise is shared with
`packed`; coordinates are (sample, row, column) in pixels.

Shape letters: as in nn/sites/neighbours.py; o channels out.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import warnings
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from videomac.errors import ConfigError
from videomac.nn.masking import Grid
from videomac.nn.sites.packed import PackedSites
from videomac.nn.sites.protocol import pointwise

CELL_PX = 32
"""Coordinates along one side of a cell: enough for the finest map, whatever the cell's true side in pixels."""


def engine() -> Any:
    """Import MinkowskiEngine.

    Raises:
        ConfigError: it is not installed.
    """
    # MinkowskiEngine asks for a name that Python 3.10 moved.
    collections.Sequence = collections.abc.Sequence  # pyright: ignore[reportAttributeAccessIssue] - a new name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import MinkowskiEngine  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        raise ConfigError(
            f"model.encoder.backend: minkowski needs MinkowskiEngine ({error}); install it with `make minkowski`, or "
            "use backend packed, which computes the same"
        ) from error
    return MinkowskiEngine


class MinkowskiSites(PackedSites):
    """Packed sites with MinkowskiEngine's coordinate maps behind them."""

    def __init__(self, cells_bk: Int64[Tensor, "b k"], grid: Grid, valid_b: Bool[Tensor, " b"] | None = None):
        super().__init__(cells_bk, grid, valid_b)
        self.engine = engine()
        self.manager = self.engine.CoordinateManager(D=2)
        self.keys: dict[int, Any] = {}
        self.cell_px = CELL_PX

    def linear(self, x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Linear | nn.Conv2d) -> Float[Tensor, "b k t t o"]:
        """Apply a linear layer or 1x1 convolution by PyTorch's own product, as the published code does."""
        return pointwise(x_bkttc, layer)

    def conv(self, x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d) -> Float[Tensor, "b k u u o"]:
        """Apply a convolution by MinkowskiEngine; 1x1 and patchify layers as `packed` does."""
        b, k, t, _, c = x_bkttc.shape
        side, stride = layer.kernel_size[0], layer.stride[0]
        if side == 1 or side == stride > 2:
            return super().conv(x_bkttc, layer)
        convolve = self._depthwise if layer.groups > 1 else self._convolve
        u = t // stride
        y_ro = convolve(x_bkttc.reshape(-1, c), layer, self._key(t), self._key(u))
        if layer.bias is not None:
            y_ro = y_ro + layer.bias
        return y_ro.view(b, k, u, u, -1)

    def max_pool(self, x_bkttc: Float[Tensor, "b k t t c"]) -> Float[Tensor, "b k u u c"]:
        """Take the 3x3 maximum at stride 2 by MinkowskiEngine."""
        b, k, t, _, c = x_bkttc.shape
        pool = self.engine.MinkowskiLocalPoolingFunction.apply
        kernel = self.engine.KernelGenerator(kernel_size=3, stride=2, dimension=2)
        mode = self.engine.PoolingMode.LOCAL_MAX_POOLING
        y_rc = pool(x_bkttc.reshape(-1, c), mode, kernel, self._key(t), self._key(t // 2), self.manager)
        return y_rc.view(b, k, t // 2, t // 2, c)

    def _key(self, t: int) -> Any:
        """Return the coordinate map of t x t sites per cell, in packed order."""
        if t not in self.keys:
            step = self.cell_px // t
            row, column = self.neighbours.corner(t)
            inside = torch.arange(t)
            row, column = torch.broadcast_tensors(row + inside.view(-1, 1), column + inside)
            sample = torch.arange(len(row)).view(-1, 1, 1, 1).expand_as(row)
            places = torch.stack([sample, row * step, column * step], -1).view(-1, 3).int()
            self.keys[t], _ = self.manager.insert_and_map(places, [step, step], f"t{t}")
        return self.keys[t]

    def _kernel(self, layer: nn.Conv2d) -> Any:
        return self.engine.KernelGenerator(
            kernel_size=layer.kernel_size[0], stride=layer.stride[0], dilation=layer.dilation[0], dimension=2
        )

    def _convolve(
        self, x_rc: Float[Tensor, "r c"], layer: nn.Conv2d, key_in: Any, key_out: Any
    ) -> Float[Tensor, "_ o"]:
        weight_pio = layer.weight.permute(3, 2, 1, 0).flatten(0, 1).contiguous()
        mode = importlib.import_module("MinkowskiConvolution").ConvolutionMode.DEFAULT
        apply = self.engine.MinkowskiConvolutionFunction.apply
        return apply(x_rc, weight_pio, self._kernel(layer), mode, key_in, key_out, self.manager)

    def _depthwise(
        self, x_rc: Float[Tensor, "r c"], layer: nn.Conv2d, key_in: Any, key_out: Any
    ) -> Float[Tensor, "r c"]:
        """Convolve as `MinkowskiChannelwiseConvolution.forward` does: tap by tap over the kernel map."""
        weight_pc = layer.weight.permute(3, 2, 1, 0).flatten(0, 2)
        region, offsets, _ = self._kernel(layer).get_kernel([1, 1], False)
        side, stride, dilation = ([value[0]] * 2 for value in (layer.kernel_size, layer.stride, layer.dilation))
        taps = self.manager.kernel_map(
            key_in, key_out, stride, side, dilation, region_type=region, region_offset=offsets
        )
        y_rc = torch.zeros_like(x_rc)
        for tap, pairs in taps.items():
            seen, place = pairs.long()
            y_rc[place] += x_rc[seen] * weight_pc[tap]
        return y_rc
