"""AdamW in two groups: matrices and kernels decay, biases, norms and the mask token don't."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videomac.config import Optim


def decays(name: str, parameter: Tensor) -> bool:
    """False for vectors, however many axes of length 1 they carry (biases, norms, GRN, layer scale, mask token)."""
    return parameter.numel() != max(parameter.shape, default=1) and not name.endswith((".bias", "mask_token"))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameters with and without weight decay, each in the model's order (as timm's `param_groups_weight_decay`)."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: Optim) -> torch.optim.AdamW:
    """AdamW with the configured betas; one fused kernel on CUDA, one call for all tensors elsewhere.

    The learning rate is set before each step by the schedule.
    """
    on_cuda = next(model.parameters()).is_cuda
    groups = parameter_groups(model, config.weight_decay)
    return torch.optim.AdamW(
        groups, lr=0.0, betas=config.betas, fused=on_cuda or None, foreach=None if on_cuda else True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
