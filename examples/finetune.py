"""Fine-tune an export on a few labelled clips: which pixels are the object, from masks in the DAVIS layout.

python examples/finetune.py runs/mine/export [DAVIS_ROOT]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from videomac.facts.shipped import SAMPLES


def read_clip(root: Path, clip: str, card: dict, every: int = 10) -> tuple[Tensor, Tensor]:
    """Return every `every`-th frame, normalised (t, 3, 224, 384), and its mask (t, 224, 384), 1 where the object is."""
    frames = sorted((root / "JPEGImages/240p" / clip).glob("*.jpg"))[::every]
    masks = [root / "Annotations/240p" / clip / f"{frame.stem}.png" for frame in frames]
    x_thwc = np.stack([np.asarray(Image.open(f).convert("RGB").resize((384, 224)), np.float32) for f in frames])
    y_thw = np.stack([np.asarray(Image.open(m).resize((384, 224), Image.Resampling.NEAREST)) > 0 for m in masks])
    x_thwc = (x_thwc / 255 - np.array(card["mean"])) / np.array(card["std"])
    return torch.from_numpy(x_thwc).float().permute(0, 3, 1, 2), torch.from_numpy(y_thw).float()


def finetune(export: Path, root: Path, clips: list[str], steps: int = 30) -> list[float]:
    """Train all parameters of the backbone and a 1x1 head on its second stage; return the loss of each step."""
    card = json.loads((export / "card.json").read_text())
    backbone = timm.create_model(card["architecture"], num_classes=0)
    backbone.load_state_dict(load_file(export / "model.safetensors"), strict=True)
    head = nn.Conv2d(card["dims"][1], 1, 1)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-3)
    x, y = (torch.cat(parts) for parts in zip(*(read_clip(root, clip, card) for clip in clips), strict=True))
    losses = []
    for _ in range(steps):
        stage = backbone.forward_intermediates(x, indices=[1], intermediates_only=True)[0]
        logits = F.interpolate(head(stage), size=y.shape[1:], mode="bilinear")[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    root = Path(sys.argv[2]) if len(sys.argv) > 2 else SAMPLES / "davis"
    losses = finetune(Path(sys.argv[1]), root, ["dog", "blackswan"])
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
