"""Other forms of an export: a Hugging Face folder that timm loads by `local-dir:`, and ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from videomac.errors import ConfigError, ExportError
from videomac.pretrain.export import TOLERANCE, dense_stages
from videomac.storage.copies import read_file, uploaded

ONNX_FILE = "model.onnx"


def add_huggingface_config(out_dir: str, card: dict[str, Any]) -> None:
    """Adds `config.json`: `timm.create_model("local-dir:FOLDER", pretrained=True)` then loads the folder.

    Raises:
        ExportError: a `paper` network, which timm does not have.
    """
    if not card["timm"]:
        raise ExportError(
            f"{card['architecture']} of variant paper is no timm network, so there is no Hugging Face folder of it; "
            "export it with format=timm: our own dense class loads that"
        )
    arguments = {key: value for key, value in card["timm"].items() if key not in ("model_name", "num_classes")}
    described = {
        "architecture": card["architecture"],
        "num_classes": 0,
        "num_features": card["dims"][-1],
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "mean": card["mean"],
            "std": card["std"],
            "num_classes": 0,
            "interpolation": "bicubic",
        },
    }
    with uploaded(out_dir) as out:
        (out / "config.json").write_text(json.dumps(described, indent=2), encoding="utf-8")


class DenseStages(nn.Module):
    """A network's four stages as a tuple: what ONNX holds."""

    network: Any

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_bchw: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Each stage (b, c, h / s, w / s)."""
        return tuple(self.network.forward_intermediates(x_bchw, intermediates_only=True)[-4:])


def add_onnx(out_dir: str, card: dict[str, Any], size: tuple[int, int] = (224, 224)) -> None:
    """Adds `model.onnx`: input `frames` (batch, 3, H, W), outputs `stage0`..`stage3`, with any batch size.

    Raises:
        ConfigError: the extra `videomac[onnx]` is not installed.
        ExportError: a `paper` network, or outputs that differ by more than the tolerance under onnxruntime.
    """
    if not card["timm"]:
        raise ExportError(f"{card['architecture']} of variant paper: ONNX export is for variant standard")
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports] - an extra
        import onnxscript  # noqa: F401 - torch's exporter needs it # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(f"format: onnx needs the extra: pip install 'videomac[onnx]' ({error})") from error
    with uploaded(out_dir) as out:
        content = read_file(f"{out_dir}/model.safetensors")
        model = timm.create_model(**card["timm"]).eval()
        model.load_state_dict(_weights(content), strict=True)
        x_bchw = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        torch.onnx.export(
            DenseStages(model).eval(),
            (x_bchw,),
            str(out / ONNX_FILE),
            input_names=["frames"],
            output_names=[f"stage{i}" for i in range(4)],
            dynamic_shapes={"x_bchw": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            external_data=False,
        )
        session = onnxruntime.InferenceSession(str(out / ONNX_FILE), providers=["CPUExecutionProvider"])
        for batch_bchw in (x_bchw, x_bchw[:1]):
            _compare(session.run(None, {"frames": batch_bchw.numpy()}), dense_stages(content, card, batch_bchw))


def _weights(content: bytes) -> dict[str, Tensor]:
    import safetensors.torch

    return safetensors.torch.load(content)


def _compare(theirs: Sequence[Any], ours: list[Tensor]) -> None:
    for stage, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        difference = ((torch.from_numpy(a) - b).abs().max() / b.abs().max()).item()
        if not difference <= TOLERANCE:
            raise ExportError(
                f"ONNX: stage {stage} differs by {difference:.2e} of its largest value, expected {TOLERANCE:g}"
            )
