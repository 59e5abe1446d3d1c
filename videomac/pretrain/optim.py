"""AdamW in two groups: with weight decay for matrices and kernels, without for biases, norms and the mask token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videomac.config import Optim


def decays(name: str, parameter: Tensor) -> bool:
    """Return False for vectors, whatever axes of length 1 they have (biases, norms, GRN, layer scale, mask token)."""
    return parameter.numel() != max(parameter.shape, default=1) and not name.endswith((".bias", "mask_token"))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the parameters with and without weight decay, each in the model's order.

    As timm's `param_groups_weight_decay`.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: Optim) -> torch.optim.AdamW:
    """Return AdamW with the configured betas: one fused kernel on CUDA, one call for all tensors elsewhere.

    The schedule sets the learning rate before each step.
    """
    on_cuda = next(model.parameters()).is_cuda
    groups = parameter_groups(model, config.weight_decay)
    return torch.optim.AdamW(
        groups, lr=0.0, betas=config.betas, fused=on_cuda or None, foreach=None if on_cuda else True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
