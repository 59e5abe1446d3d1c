"""Ordinary convolutions of packed cells: the sites under each tap gathered side by side, then one matrix product.

Of canvas, tiles with halo and gathered taps, the last was the fastest for every 3x3 layer of ResNet-18/50 at t = 8, 4,
2, 1 (docs/log.md, "3x3 convolutions"). Only the input is kept for the backward pass; its taps are gathered again.

Shape letters: as in nn/sites/neighbours.py; o channels out, d = p * p * c, s output sites of the batch.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from videomac.nn.sites.linear import linear
from videomac.nn.sites.neighbours import Neighbours, gather
from videomac.nn.sites.protocol import Features


def taps_conv(
    x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d, neighbours: Neighbours
) -> Float[Tensor, "b k u u o"]:
    """Apply `layer` (one group) to the visible neighbours of every output site."""
    side, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    before = 0 if layer.padding == "same" else int(layer.padding[0])
    table = neighbours.taps(x_bkttc.shape[2], side, stride, dilation, before)
    dtype = autocast_dtype(x_bkttc)
    bias = None if layer.bias is None else layer.bias.to(dtype)
    return _TapsConv.apply(x_bkttc.to(dtype), layer.weight.to(dtype), bias, table)


def stem_conv(
    x_bkttc: Float[Tensor, "b k t t c"], layer: nn.Conv2d, neighbours: Neighbours
) -> Float[Tensor, "b k u u o"]:
    """Apply the same to tiles with their halo: fits few channels and many taps, as in a 7x7 stem."""
    b, k, t, _, _ = x_bkttc.shape
    tiles_nyxc = gather(x_bkttc, neighbours.tiles(t, int(layer.padding[0])))
    y_noyx = F.conv2d(tiles_nyxc.permute(0, 3, 1, 2), layer.weight, layer.bias, layer.stride)
    u = t // layer.stride[0]
    return y_noyx[:, :, :u, :u].permute(0, 2, 3, 1).reshape(b, k, u, u, -1)


def max_pool(x_bkttc: Float[Tensor, "b k t t c"], neighbours: Neighbours) -> Float[Tensor, "b k u u c"]:
    """Take the 3x3 maximum at stride 2 over visible neighbours, on tiles with their halo."""
    b, k, t, _, _ = x_bkttc.shape
    tiles_nyxc = gather(x_bkttc, neighbours.tiles(t, 1), fill=-torch.inf)
    y_ncyx = F.max_pool2d(tiles_nyxc.permute(0, 3, 1, 2), 3, 2)
    return y_ncyx.permute(0, 2, 3, 1).reshape(b, k, t // 2, t // 2, -1)


def autocast_dtype(x: Features) -> torch.dtype:
    """Return the type that autocast computes matrix products in; outside autocast the type of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class _TapsConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_bkttc: Float[Tensor, "b k t t c"],
        weight_ocpp: Float[Tensor, "o c p p"],
        bias_o: Float[Tensor, " o"] | None,
        table: Int64[Tensor, "b k u u pp"],
    ) -> Float[Tensor, "b k u u o"]:
        ctx.save_for_backward(x_bkttc, weight_ocpp, table)
        ctx.has_bias = bias_o is not None
        return linear(gather(x_bkttc, table).flatten(-2), _as_matrix(weight_ocpp), bias_o)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_bkttc, weight_ocpp, table = ctx.saved_tensors
        o, c, p, _ = weight_ocpp.shape
        grad_so = grads[0].reshape(-1, o)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            taps_sd = linear(grad_so, _as_matrix(weight_ocpp).t(), None)
            rows_rc = taps_sd.new_zeros(x_bkttc.numel() // c + 1, c)
            rows_rc = rows_rc.index_add(0, table.flatten(), taps_sd.view(-1, c))
            grad_x = rows_rc[:-1].view_as(x_bkttc)
        if ctx.needs_input_grad[1]:
            taps_sd = gather(x_bkttc, table).view(len(grad_so), -1)
            grad_weight = (grad_so.T @ taps_sd).view(o, p, p, c).permute(0, 3, 1, 2)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_so.sum(0)
        return grad_x, grad_weight, grad_bias, None


def _as_matrix(weight_ocpp: Float[Tensor, "o c p p"]) -> Float[Tensor, "o d"]:
    return weight_ocpp.permute(0, 2, 3, 1).flatten(1)
