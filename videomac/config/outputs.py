"""Keys of the commands that turn a run into something else: exported weights, a page."""

from __future__ import annotations

from typing import Literal

from videomac.config.base import Section
from videomac.config.places import OutputPlace, Place


class Export(Section):
    """`videomac export`: save a checkpoint's online encoder as weights for other programs."""

    checkpoint: Place
    """Checkpoint folder, or a run's folder for its last checkpoint."""
    out: OutputPlace
    """Folder that receives the weights and `card.json`."""
    format: Literal["timm", "huggingface", "onnx"] = "timm"
    """timm: safetensors and a card; huggingface: a folder that timm loads as `local-dir:`; onnx: dynamic batch size."""


class Report(Section):
    """`videomac report`: write the page of a run (finished or not), a sweep or an evaluation."""

    run: OutputPlace
    """Folder of the run, the sweep or the evaluation."""
