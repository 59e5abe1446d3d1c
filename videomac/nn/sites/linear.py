"""The linear layer of packed cells on CPU: oneDNN's product where PyTorch would call MKL's.

PyTorch computes float32 products by MKL, and half precision by oneDNN. oneDNN's float32 product measured 3 to 30 %
faster at every layer of ConvNeXt and ResNet, most of all at few rows (docs/log.md, "Linear layers"), forward and
towards the input; towards the weights MKL's was the faster.

Shape letters: c o channels in and out, r rows.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def linear(
    x: Float[Tensor, "... c"], weight_oc: Float[Tensor, "o c"], bias_o: Float[Tensor, " o"] | None
) -> Float[Tensor, "... o"]:
    """`F.linear`, by oneDNN where that is known to be faster."""
    return _Linear.apply(x, weight_oc, bias_o) if _by_onednn(x, weight_oc) else F.linear(x, weight_oc, bias_o)


def _by_onednn(x: Tensor, weight_oc: Tensor) -> bool:
    """On CPU in float32, where this PyTorch has the operator, and no compiler chooses by itself."""
    return (
        x.is_cpu
        and x.dtype == weight_oc.dtype == torch.float32
        and _ONEDNN is not None
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _onednn() -> Any:
    """The operator behind Inductor's linear layers, or None where this build lacks it or it has changed."""
    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        one_11 = torch.ones(1, 1)
        return operator if operator(one_11, one_11, one_11[0], "none", [], "").item() == 2 else None
    except (AttributeError, RuntimeError, TypeError):
        return None


_ONEDNN = _onednn()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_oc: Tensor, bias_o: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight_oc)
        ctx.has_bias = bias_o is not None
        return _ONEDNN(x.contiguous(), weight_oc, bias_o, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_oc = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_ro = grad.flatten(0, -2)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _ONEDNN(grad, weight_oc.t(), None, "none", [], "")
        if ctx.needs_input_grad[1]:
            grad_weight = grad_ro.t() @ x.reshape(-1, x.shape[-1])
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_ro.sum(0)
        return grad_x, grad_weight, grad_bias
