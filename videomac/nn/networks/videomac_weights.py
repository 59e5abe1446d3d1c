"""Translates names and layouts of the published VideoMAC code's parameters into ours.

Its kernels are laid out as in MinkowskiEngine: `kernel[x * K + y][i, o]` for `weight[o, i, y, x]`, depthwise
`kernel[x * K + y][c]`, a 1x1 kernel at stride 1 as (i, o); biases as (1, c).
"""

from __future__ import annotations

import math
import re

from torch import Tensor

_RENAMES = (
    (r"\.ln\.", "."),
    (r"\.linear\.", "."),
    (r"^encoder\.downsample_layers\.0\.", "encoder.stem."),
    (r"^encoder\.downsample_layers\.(\d)\.", r"encoder.stages.\1.downsample."),
    (r"^encoder\.norm(\d)\.", r"encoder.norms.\1."),
    (r"^encoder\.stages\.(\d)\.(\d+)\.", r"encoder.stages.\1.blocks.\2."),
    (r"^encoder\.(layer\d\.\d+)\.norm(\d)\.", r"encoder.\1.bn\2."),
    (r"^decoder\.(\d)\.", r"decoder.blocks.\1."),
    (r"^(proj|pred|mask_token)", r"decoder.\1"),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.pwconv(\d)\.", r".mlp.fc\1."),
    (r"\.grn\.gamma$", ".mlp.grn.weight"),
    (r"\.grn\.beta$", ".mlp.grn.bias"),
    (r"\.kernel$", ".weight"),
)
_RESNET_STEM = ((r"^encoder\.stem\.0\.", "encoder.conv1."), (r"^encoder\.stem\.1\.", "encoder.bn1."))


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Translate a published state dict (`encoder.`, `decoder.`, `proj.`...) into our names and layouts."""
    resnet = any(name.startswith("encoder.layer1.") for name in state)
    return {our_name(name, resnet): our_layout(name, value) for name, value in state.items()}


def our_name(name: str, resnet: bool) -> str:
    """Return our name of a published parameter."""
    name = name.removeprefix("module.")
    for pattern, replacement in _RENAMES + (_RESNET_STEM if resnet else ()):
        name = re.sub(pattern, replacement, name)
    return name


def our_layout(name: str, value: Tensor) -> Tensor:
    """Return a published parameter in our layout."""
    if name.endswith(".kernel"):
        return _weight(value, depthwise=".dwconv." in name)
    if name == "mask_token" or ".grn." in name or (name.endswith(".bias") and value.ndim == 2):
        return value.reshape(-1)
    return value


def _weight(kernel: Tensor, depthwise: bool) -> Tensor:
    if depthwise:
        side = math.isqrt(kernel.shape[0])
        return kernel.unflatten(0, (side, side)).permute(2, 1, 0).unsqueeze(1)
    if kernel.ndim == 2:
        return kernel.T[:, :, None, None]
    side = math.isqrt(kernel.shape[0])
    return kernel.unflatten(0, (side, side)).permute(3, 2, 1, 0)
