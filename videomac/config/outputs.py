"""Keys of the commands that turn a run into something else: exported weights, a page."""

from __future__ import annotations

from typing import Literal

from videomac.config.base import Section


class Export(Section):
    """`videomac export`: a checkpoint's online encoder as weights for other programs."""

    checkpoint: str
    """Checkpoint folder, or a run's folder (its last checkpoint)."""
    out: str
    """Folder that receives the weights and `card.json`."""
    format: Literal["timm", "huggingface", "onnx"] = "timm"
    """timm: safetensors + card; huggingface: a folder that timm loads as `local-dir:`; onnx: dynamic batch."""


class Report(Section):
    """`videomac report`: the page of a run, finished or not."""

    run: str
    """Folder of the run (or of a sweep)."""
