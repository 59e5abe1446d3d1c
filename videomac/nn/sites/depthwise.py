"""Depthwise convolution of packed cells at stride 1, forward and backward.

The set of visible sites is the same before and after, so the gradient of the input is the same operation with the
kernel turned by 180 degrees. The number of sites decides how it is computed: tiles with their halo cost in proportion
to the visible cells but copy the halo; a canvas costs the whole map.

Shape letters: as in nn/sites/neighbours.py; o = 1.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from videomac.nn.sites.convolution import autocast_dtype
from videomac.nn.sites.neighbours import Neighbours, gather
from videomac.nn.torch_internals import CPU_MULTIPLIES_BF16


def depthwise_conv(
    x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d, neighbours: Neighbours
) -> Float[Tensor, "b k t t c"]:
    """Apply `layer` (groups = channels, odd kernel, stride 1) to the visible neighbours of every site."""
    _, k, t, _, _ = x_bkttc.shape
    reach = layer.kernel_size[0] // 2 * layer.dilation[0]
    cell_count = neighbours.grid[0] * neighbours.grid[1]
    if x_bkttc.is_cpu and tiles_are_cheaper(cell_count, k, t, reach):
        around, sites = neighbours.tiles(t, reach), None
    else:
        around, sites = neighbours.canvas(t), neighbours.sites(t)
    # Tables are made here, outside the autograd function: what is cached inside one cannot be traced.
    spread = neighbours.tiles(t, reach) if t > 1 else neighbours.canvas(t)
    spread = None if spread is around else spread  # the same tensor twice cannot be traced either
    dtype = autocast_dtype(x_bkttc)
    if x_bkttc.is_cpu and not (dtype == torch.bfloat16 and CPU_MULTIPLIES_BF16):
        dtype = layer.weight.dtype  # half precision without units for it is slower than float32 in oneDNN
    weight, bias = layer.weight.to(dtype), None if layer.bias is None else layer.bias.to(dtype)
    with torch.autocast(x_bkttc.device.type, enabled=False):
        return _DepthwiseConv.apply(x_bkttc.to(dtype), weight, bias, layer.dilation[0], around, sites, spread)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_bkttc: Float[Tensor, "b k t t c"],
        weight_copp: Float[Tensor, "c 1 p p"],
        bias_c: Float[Tensor, " c"] | None,
        dilation: int,
        around: Int64[Tensor, "_ _ _"],
        sites: Int64[Tensor, " r"] | None,
        spread: Int64[Tensor, "_ _ _"] | None,
    ) -> Float[Tensor, "b k t t c"]:
        ctx.save_for_backward(x_bkttc, weight_copp, around, sites, spread)
        ctx.dilation, ctx.has_bias = dilation, bias_c is not None
        return _convolve(x_bkttc, weight_copp, bias_c, dilation, around, sites)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_bkttc, weight_copp, around, sites, spread = ctx.saved_tensors
        grad_bkttc = grads[0].contiguous()
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _convolve(grad_bkttc, weight_copp.flip(2, 3), None, ctx.dilation, around, sites)
        if ctx.needs_input_grad[1]:
            spread = around if spread is None else spread
            grad_weight = _weight_gradient(x_bkttc, grad_bkttc, weight_copp.shape[-1], ctx.dilation, spread)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_bkttc.sum((0, 1, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None, None, None


def tiles_are_cheaper(cell_count: int, k: int, t: int, reach: int) -> bool:
    """Return whether k tiles with their halo cost less than a canvas of all cells.

    A tile costs its own sites and, to be laid out, those with the halo; a canvas costs all of the map. Weights fitted
    to measurements at t = 8, 4, 2, 1 and k = 4, 12, 24 of 49 (docs/log.md, "Depthwise 7x7").
    """
    return k * (4 * t * t + (t + 2 * reach) ** 2) < 7 * cell_count * t * t


def _convolve(
    x_bkttc: Float[Tensor, "b k t t c"],
    weight_copp: Float[Tensor, "c 1 p p"],
    bias_c: Float[Tensor, " c"] | None,
    dilation: int,
    around: Int64[Tensor, "_ _ _"],
    sites: Int64[Tensor, " r"] | None,
) -> Float[Tensor, "b k t t c"]:
    """Convolve tiles with their halo, or canvases if `sites` says where the packed sites lie in them."""
    c = x_bkttc.shape[-1]
    padding = 0 if sites is None else weight_copp.shape[-1] // 2 * dilation
    x_ncyx = gather(x_bkttc, around).permute(0, 3, 1, 2)
    y_ncyx = F.conv2d(x_ncyx, weight_copp, bias_c, padding=padding, dilation=dilation, groups=c)
    y_sc = y_ncyx.permute(0, 2, 3, 1).reshape(-1, c)
    return (y_sc if sites is None else y_sc.index_select(0, sites)).view(x_bkttc.shape)


def _weight_gradient(
    x_bkttc: Float[Tensor, "b k t t c"],
    grad_bkttc: Float[Tensor, "b k t t c"],
    side: int,
    dilation: int,
    spread: Int64[Tensor, "_ _ _"],
) -> Float[Tensor, "c 1 p p"]:
    """Return the correlation of input and gradient, computed as a depthwise convolution with the gradient as kernels.

    oneDNN's own backward pass for depthwise weights is four to five times slower than this on CPU (docs/log.md). Every
    tile (or at t = 1, where a kernel of one site is its slow case, every canvas) and channel becomes a channel.
    """
    t, c = x_bkttc.shape[2], x_bkttc.shape[-1]
    x_yxnc = gather(x_bkttc, spread.permute(1, 2, 0))
    kernel_nttc = grad_bkttc.flatten(0, 1) if t > 1 else gather(grad_bkttc, spread)
    kernel_nctt, padding = kernel_nttc.permute(0, 3, 1, 2), 0 if t > 1 else side // 2 * dilation
    n = kernel_nctt.shape[0]
    x_1qyx = x_yxnc.flatten(2).unsqueeze(0).permute(0, 3, 1, 2)
    kernel_q1tt = kernel_nctt.reshape(n * c, 1, *kernel_nctt.shape[2:])
    taps_1qpp = F.conv2d(x_1qyx, kernel_q1tt, stride=dilation, padding=padding, groups=n * c)
    return taps_1qpp.permute(0, 2, 3, 1).reshape(side, side, n, c).sum(2).permute(2, 0, 1).unsqueeze(1)
