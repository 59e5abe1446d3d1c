"""The private names of torch that this project uses: each with its reason, and with what happens where it is missing.

`tests/unit/nn/test_torch_internals.py` calls each of them and refuses private names anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def _bf16_units() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; torch has no public way to ask (2.6 to 2.13)."""
    try:
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    except AttributeError:  # then depthwise layers stay in float32, which is right and perhaps slower
        return False


CPU_MULTIPLIES_BF16: bool = _bf16_units()
"""This CPU has units for products of bfloat16; others compute them slower than those of float32."""


def _onednn_linear() -> Callable[..., Tensor] | None:
    """Return the operator behind Inductor's linear layers, or None if this build lacks it or it has changed.

    It is the only way to oneDNN's float32 product, which measured 3 to 30 % faster than MKL's behind `F.linear` at
    every layer of ConvNeXt and ResNet (docs/log.md, "Linear layers"). Without it `F.linear` is used.
    """
    try:
        operator: Any = torch.ops.mkldnn._linear_pointwise.default
        one_11 = torch.ones(1, 1)
        return operator if operator(one_11, one_11, one_11[0], "none", [], "").item() == 2 else None
    except (AttributeError, RuntimeError, TypeError):
        return None


ONEDNN_LINEAR = _onednn_linear()
"""operator(x, weight, bias or None, "none", [], "") -> x @ weight.T + bias on the CPU in float32, or None."""


def lerp_all(targets: Sequence[Tensor], sources: Sequence[Tensor], weight: float) -> None:
    """Move each target towards its source: targets += weight * (sources - targets), in one call for all tensors.

    One kernel for hundreds of parameters; `torch.optim.swa_utils` does its moving average by the same function, but
    only for a fixed decay.
    """
    torch._foreach_lerp_(list(targets), list(sources), weight)  # pyright: ignore[reportPrivateImportUsage] - see above
