"""The linear layer of packed cells on CPU: oneDNN's product where PyTorch would call MKL's.

PyTorch computes float32 products by MKL, and half precision by oneDNN. oneDNN's float32 product measured 3 to 30 %
faster at every layer of ConvNeXt and ResNet, most of all with few sites (docs/log.md, "Linear layers"), forward and
towards the input; towards the weights MKL's was faster.

Shape letters: c o channels in and out, r sites.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from videomac.nn.torch_internals import ONEDNN_LINEAR


def linear(
    x: Float[Tensor, "... c"], weight_oc: Float[Tensor, "o c"], bias_o: Float[Tensor, " o"] | None
) -> Float[Tensor, "... o"]:
    """Compute `F.linear`, by oneDNN where that is known to be faster."""
    return _Linear.apply(x, weight_oc, bias_o) if _by_onednn(x, weight_oc) else F.linear(x, weight_oc, bias_o)


def _by_onednn(x: Float[Tensor, "... c"], weight_oc: Float[Tensor, "o c"]) -> bool:
    """Return True on CPU in float32, where this PyTorch has the operator and no compiler chooses by itself."""
    return (
        x.is_cpu
        and x.dtype == weight_oc.dtype == torch.float32
        and ONEDNN_LINEAR is not None
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "... c"], weight_oc: Float[Tensor, "o c"], bias_o: Float[Tensor, " o"] | None
    ) -> Float[Tensor, "... o"]:
        assert ONEDNN_LINEAR is not None, "_by_onednn has asked"
        ctx.save_for_backward(x, weight_oc)
        ctx.has_bias = bias_o is not None
        return ONEDNN_LINEAR(x.contiguous(), weight_oc, bias_o, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert ONEDNN_LINEAR is not None, "the forward pass has used it"
        x, weight_oc = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_ro = grad.flatten(0, -2)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = ONEDNN_LINEAR(grad, weight_oc.t(), None, "none", [], "")
        if ctx.needs_input_grad[1]:
            grad_weight = grad_ro.t() @ x.reshape(-1, x.shape[-1])
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad_ro.sum(0)
        return grad_x, grad_weight, grad_bias
