"""Initial weights: timm's, or those of the published code."""

from __future__ import annotations

from torch import nn
from torch.nn.init import kaiming_normal_, trunc_normal_, zeros_

from videomac.nn.networks.resnet import ResidualBlock


def init_convnext(network: nn.Module) -> None:
    """Initialise as timm's ConvNeXt: truncated normal with standard deviation 0.02, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                zeros_(module.bias)


def init_resnet(network: nn.Module) -> None:
    """Initialise as timm's ResNet: He's normal by fan-out, zeros in the last norm of each block."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, ResidualBlock):
            zeros_(module.last_norm().weight)


def init_paper_encoder(network: nn.Module) -> None:
    """Initialise as the published code: standard deviation 0.02 in sparse convolutions, 1 where it was forgotten.

    Forgotten were the stem, depthwise convolutions and the linear layers of ConvNeXt blocks. The biases of its ResNet
    stem keep PyTorch's default.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            in_stem = name == "conv1" or name.startswith("stem")
            forgotten = isinstance(module, nn.Linear) or module.groups > 1 or in_stem
            trunc_normal_(module.weight, std=1.0 if forgotten else 0.02)
            if module.bias is not None and name != "conv1":
                zeros_(module.bias)


def init_paper_decoder(network: nn.Module) -> None:
    """Initialise as the published code: standard deviation 1 in convolutions, PyTorch's default in linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            trunc_normal_(module.weight, std=1.0)
            if module.bias is not None:
                zeros_(module.bias)
