"""Other forms of an export: a Hugging Face folder that timm loads by `local-dir:`, and ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from videomac.errors import ConfigError, ExportError
from videomac.pretrain.export_check import TOLERANCE, dense_stages, relative_difference
from videomac.records.card import WEIGHTS, Card
from videomac.storage.copies import read_file, uploaded

ONNX_FILE = "model.onnx"
HUGGINGFACE_FILE = "config.json"


def add_huggingface_config(out_dir: str, card: Card) -> None:
    """Add `config.json`: `timm.create_model("local-dir:FOLDER", pretrained=True)` then loads the folder.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    if not card.timm:
        raise ExportError(
            f"{card.architecture} of variant paper: timm does not have this network, so it cannot be a Hugging Face "
            "folder; export it with format=timm, which our own dense class loads"
        )
    described = {
        "architecture": card.architecture,
        "num_classes": 0,
        "num_features": card.dims[-1],
        "global_pool": "avg",
        "model_args": {key: value for key, value in card.timm.items() if key not in ("model_name", "num_classes")},
        "pretrained_cfg": _pretrained_cfg(card),
    }
    with uploaded(out_dir) as out:
        (out / HUGGINGFACE_FILE).write_text(json.dumps(described, indent=2), encoding="utf-8")


def _pretrained_cfg(card: Card) -> dict[str, object]:
    """Return what `timm.models.save_for_hf` writes of an architecture, for weights of ours without a head.

    timm adapts weights to `in_chans` by `first_conv`, and leaves out a head of another size by `classifier`.
    """
    own = timm.models.get_pretrained_cfg(card.architecture)
    if own is None:
        raise ExportError(
            f"{card.architecture}: timm {timm.__version__} does not describe this network; install another version"
        )
    kept = (
        "input_size",
        "fixed_input_size",
        "pool_size",
        "interpolation",
        "crop_pct",
        "crop_mode",
        "first_conv",
        "classifier",
    )
    return {
        **{key: getattr(own, key) for key in kept},
        "custom_load": False,
        "mean": card.mean,
        "std": card.std,
        "num_classes": 0,
    }


class DenseStages(nn.Module):
    """A network whose output is its four stages as a tuple: what ONNX holds."""

    network: Any

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_bchw: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Return the stages, each (b, c, h / s, w / s)."""
        return tuple(self.network.forward_intermediates(x_bchw, intermediates_only=True)[-4:])


def add_onnx(out_dir: str, card: Card, size: tuple[int, int] = (224, 224)) -> None:
    """Add `model.onnx`: input `frames` (batch, 3, H, W), outputs `stage0` to `stage3`, for any batch size.

    Raises:
        ConfigError: the extra `videomac[onnx]` is not installed.
        ExportError: a `paper` network, or outputs under onnxruntime differ by more than the tolerance.
    """
    if not card.timm:
        raise ExportError(f"{card.architecture} of variant paper: only variant standard can be exported to ONNX")
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports] - an extra
        import onnxscript  # noqa: F401 - torch's exporter needs it # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(f"format: onnx needs the extra: pip install 'videomac[onnx]' ({error})") from error
    content = read_file(f"{out_dir}/{WEIGHTS}")
    x_bchw = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with uploaded(out_dir) as out:
        _write_onnx(out / ONNX_FILE, card.timm, content, x_bchw)
        session = onnxruntime.InferenceSession(str(out / ONNX_FILE), providers=["CPUExecutionProvider"])
        for batch_bchw in (x_bchw, x_bchw[:1]):
            _compare(session.run(None, {"frames": batch_bchw.numpy()}), dense_stages(content, card, batch_bchw))


def _write_onnx(path: Path, arguments: dict[str, Any], content: bytes, x_bchw: Float[Tensor, "b 3 h w"]) -> None:
    model = timm.create_model(**arguments).eval()
    model.load_state_dict(safetensors.torch.load(content), strict=True)
    torch.onnx.export(
        DenseStages(model).eval(),
        (x_bchw,),
        str(path),
        input_names=["frames"],
        output_names=[f"stage{i}" for i in range(4)],
        dynamic_shapes={"x_bchw": {0: torch.export.Dim("batch", min=1)}},
        dynamo=True,
        external_data=False,
    )


def _compare(theirs: Sequence[Any], ours: Sequence[Tensor]) -> None:
    for stage, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        difference = relative_difference(torch.from_numpy(np.asarray(a)), b)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"ONNX: stage {stage} differs by {difference:.2e} of its largest value, expected at most {TOLERANCE:g}"
            )
