"""Frozen features of frames, by one protocol: exports of ours, any timm model, untrained networks, raw pixels.

`load` turns a section of the configuration into an `Extractor`; `extract` runs it over frames. Grid: frames are
normalised, replicate-padded right and bottom to a multiple of the network's total stride up to the stage, and the
features cropped to (ceil(H / s), ceil(W / s)), s the stage's stride; then each site is L2-normalised.

Shape letters: b batch, c channels, h w pixels, y x feature grid.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import load_state_dict
from torch import Tensor

from videomac import config
from videomac.errors import EvaluationError
from videomac.nn.networks.registry import build_encoder
from videomac.propagation.dilation import PROBED_PX, dilate

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RAW_SITE = 8  # pixels, as stride 8 of a network
_ANY_SIZE = {
    ("swin",): {"strict_img_size": False},
    ("vit", "deit", "eva", "dino", "beit"): {"dynamic_img_size": True},
}
"""By words in timm's names: what makes a network take frames of any size."""


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A frozen network up to one stage, and what it needs of its input."""

    network: Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c y x"]]
    stride: int
    """Pixels between two sites."""
    multiple: int
    """Frames are padded to a multiple of this."""
    facts: dict[str, Any]
    """What results say about it: architecture, stage, weights' SHA-256, ..."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Sites down and across for frames of (height, width)."""
        return -(-size[0] // self.stride), -(-size[1] // self.stride)


@torch.inference_mode()
def extract(
    extractor: Extractor,
    frames_hwc: Iterable[np.ndarray],
    std_first: float | None = None,
    device: str = "cpu",
) -> Iterator[Float[Tensor, "c y x"]]:
    """Features of uint8 (H, W, 3) frames, one at a time, in float32, L2-normalised at each site.

    `std_first` replaces the first channel's standard deviation where the network takes ImageNet's (preset `dino`).
    """
    std = extractor.std
    if std_first is not None and std == IMAGENET_STD:
        std = (std_first, *std[1:])
    mean_c11 = torch.tensor(extractor.mean, device=device)[:, None, None]
    std_c11 = torch.tensor(std, device=device)[:, None, None]
    for frame_hwc in frames_hwc:
        x_chw = torch.tensor(frame_hwc, device=device).permute(2, 0, 1).float() / 255
        padded_bchw = pad_to_multiple(((x_chw - mean_c11) / std_c11)[None], extractor.multiple)
        rows, columns = extractor.grid(frame_hwc.shape[:2])
        try:
            x_bcyx = extractor.network(padded_bchw)
        except (RuntimeError, AssertionError) as error:
            size = f"{padded_bchw.shape[3]}x{padded_bchw.shape[2]}"
            raise EvaluationError(
                f"{extractor.facts.get('architecture')} takes no frames of {size}: {error}"
            ) from error
        yield F.normalize(x_bcyx[0, :, :rows, :columns].float(), dim=0)


def pad_to_multiple(x_bchw: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Replicates the last row and column until both sides are multiples."""
    height, width = x_bchw.shape[2:]
    return F.pad(x_bchw, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def load(
    source: config.Features, stage: int, seed: int = 0, stride_reduction: int = 1, device: str = "cpu"
) -> Extractor:
    """The extractor of one row of the comparison.

    `stage` counts levels of stride 4 and more from 0; in a plain vision transformer it counts blocks; -1 is the last
    (with the final norm, as DINO's evaluation has it). `stride_reduction` dilates the last stages
    (`propagation.dilation`).

    Raises:
        EvaluationError: no such model, file or stage; weights that do not fit; a stride that the network refuses.
    """
    if source.source == "raw_colour":
        return Extractor(_mean_colour, RAW_SITE, RAW_SITE, {"source": "raw_colour", "site_px": RAW_SITE})
    if source.source == "raw_patch":
        return Extractor(_patches, RAW_SITE, RAW_SITE, {"source": "raw_patch", "site_px": RAW_SITE})
    if source.model is None:
        raise EvaluationError(
            f"features {source.label!r}: source {source.source} needs model: an export folder or timm name"
        )
    network, card = _build(source, seed)
    extractor = _extractor(network.eval().requires_grad_(False).to(device), card, stage, stride_reduction)
    facts = {"source": source.source, "stride_reduction": stride_reduction, **extractor.facts}
    if source.source == "random":
        facts["seed"] = seed
    return dataclasses.replace(extractor, facts=facts)


def identity(source: config.Features, stage: int, seed: int, stride_reduction: int) -> dict[str, Any]:
    """What decides the features, known without building the network: finished clips are kept under the same only.

    Raises:
        EvaluationError: a weights file or an export's card is missing.
    """
    known: dict[str, Any] = {"source": source.source, "timm": timm.__version__, "torch": torch.__version__}
    if source.source.startswith("raw"):
        return known
    known |= {"model": source.model, "stage": stage, "stride_reduction": stride_reduction}
    if source.source == "export":
        known["model"] = read_card(str(source.model))["weights_sha256"]
    if source.source == "random":
        known["seed"] = seed
    if source.weights is not None:
        known["weights"] = _digest(source.weights)
    return known


def read_card(folder: str | Path) -> dict[str, Any]:
    """`card.json` of an export folder.

    Raises:
        EvaluationError: it is not there or lacks a key.
    """
    path = Path(folder) / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = {"architecture", "variant", "weights_sha256", "mean", "std"} - card.keys()
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path}: cannot be read as an export's card ({error}); make one: videomac export"
        ) from error
    if missing:
        raise EvaluationError(f"{path}: the card lacks {', '.join(sorted(missing))}; export anew with videomac export")
    return card


def _build(source: config.Features, seed: int) -> tuple[Any, dict[str, Any]]:
    """The network in eval mode with its weights, and a card that says what it is."""
    model = str(source.model)
    exported = (Path(model) / "card.json").is_file()
    card = read_card(model) if exported else {"timm": {"model_name": model}, "architecture": model}
    arguments = dict(card.get("timm") or {})
    if source.source == "random":
        torch.manual_seed(seed)
    pretrained = source.source == "timm" and source.weights is None
    if arguments:
        network = _timm_network(arguments, pretrained, source.label)
        if not exported:
            normalisation = network.pretrained_cfg
            card |= {"mean": normalisation.get("mean", IMAGENET_MEAN), "std": normalisation.get("std", IMAGENET_STD)}
    else:
        network = build_encoder(config.Encoder.model_validate_json(json.dumps(card["encoder"])), card["cell"])
    if source.source == "export":
        _load_strict(network, Path(model) / "model.safetensors", card)
    elif source.weights is not None:
        card["weights_sha256"] = _load_file(network, source.weights)
    else:
        card["weights_sha256"] = _hash_tensors(network)
    return network, card


def _timm_network(arguments: dict[str, Any], pretrained: bool, label: str) -> Any:
    arguments = {"num_classes": 0, **arguments}
    name = arguments["model_name"]
    any_size: dict[str, Any] = next(
        (keys for words, keys in _ANY_SIZE.items() if any(word in name for word in words)), {}
    )
    try:
        with contextlib.suppress(TypeError):  # of one name, but another kind
            return timm.create_model(**arguments, **any_size, pretrained=pretrained)
        return timm.create_model(**arguments, pretrained=pretrained)
    except (RuntimeError, ValueError, TypeError, AssertionError, OSError) as error:
        hint = "; if its weights cannot be downloaded here, give weights=FILE" if pretrained else ""
        raise EvaluationError(f"features {label!r}: timm cannot make {name!r} ({error}){hint}") from error


def _extractor(network: Any, card: dict[str, Any], stage: int, reduction: int) -> Extractor:
    ours = not hasattr(network, "forward_intermediates")
    levels = list(enumerate(card["strides"])) if ours else _levels(network)
    place = _checked(stage, levels, card["architecture"])
    index, stride = levels[place]
    forward = (
        (lambda x_bchw: network.dense(x_bchw)[index])
        if ours
        else _Intermediate(network, index, place == len(levels) - 1)
    )
    if reduction > 1:
        _dilate(network, forward, stride, reduction, card["architecture"])
    facts = {
        "architecture": card["architecture"],
        "variant": card.get("variant", "standard"),
        "stage": place,
        "stride": stride // reduction,
        "weights_sha256": card["weights_sha256"],
        **{key: card[key] for key in ("run", "step", "config_hash") if key in card},
    }
    # Frames are padded as for the undilated network, so that its sites are among the dilated one's.
    multiple = max(s for _, s in levels) if ours else stride
    return Extractor(forward, stride // reduction, multiple, facts, tuple(card["mean"]), tuple(card["std"]))


def _dilate(network: Any, forward: Callable[[Tensor], Tensor], stride: int, reduction: int, name: str) -> None:
    if not hasattr(network, "forward_intermediates"):
        raise EvaluationError(f"{name}: a `paper` network cannot be dilated; set stride_reduction=1")
    if stride % reduction or stride // reduction < 4:
        raise EvaluationError(
            f"stride_reduction: the stage of {name} has stride {stride}; over {reduction} that is "
            f"{stride / reduction:g}, but features are of stride 4 or more: choose a later stage"
        )
    dilate(network, forward, stride // reduction)
    side = forward(torch.zeros(1, 3, PROBED_PX, PROBED_PX)).shape[2]
    if side * (stride // reduction) != PROBED_PX:
        raise EvaluationError(f"stride_reduction: {name} strides elsewhere than in convolutions and pools; set it to 1")


class _Intermediate:
    """One level of a timm network as (b, c, y, x), computing nothing beyond it."""

    def __init__(self, network: Any, index: int, last: bool) -> None:
        # Plain transformers end in a norm that belongs to their last features; ConvNets' norms belong to the head.
        self.network, self.index, self.norm = network, index, last and hasattr(network, "blocks")

    def __call__(self, x_bchw: Tensor) -> Tensor:
        return self.network.forward_intermediates(
            x_bchw, indices=[self.index], norm=self.norm, stop_early=not self.norm, intermediates_only=True
        )[0]


def _levels(network: Any) -> list[tuple[int, int]]:
    """(index for `forward_intermediates`, stride) of the levels with a stride of 4 or more."""
    if not hasattr(network, "forward_intermediates"):
        raise EvaluationError(f"{type(network).__name__}: timm gives no intermediate features of this network")
    strides = [info["reduction"] for info in network.feature_info]
    return [(index, stride) for index, stride in enumerate(strides) if stride >= 4]


def _checked(stage: int, levels: list[tuple[int, int]], name: str) -> int:
    if not -1 <= stage < len(levels):
        known = ", ".join(f"{i}: stride {stride}" for i, (_, stride) in enumerate(levels))
        raise EvaluationError(f"stage {stage}: {name} has stages {known} (-1: the last)")
    return stage % len(levels)


def _load_strict(network: Any, path: Path, card: dict[str, Any]) -> None:
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != card["weights_sha256"]:
            raise EvaluationError(
                f"{path}: SHA-256 {found[:12]}..., but the card says {card['weights_sha256'][:12]}...: export it anew"
            )
        network.load_state_dict(safetensors.torch.load(content), strict=True)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise EvaluationError(f"{path}: weights do not load into {card['architecture']}: {error}") from error


def _load_file(network: Any, weights: str) -> str:
    """Loads a safetensors or pth file by timm's rules, nothing unpickled; a head that the network lacks is left out."""
    try:
        digest = _digest(weights)
        state = load_state_dict(weights, weights_only=True)
        missing, unexpected = network.load_state_dict(state, strict=False)
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise EvaluationError(f"{weights}: weights do not load into {type(network).__name__}: {error}") from error
    strange = [name for name in unexpected if not name.startswith(("head.", "fc.", "classifier."))]
    if missing or strange:
        raise EvaluationError(
            f"{weights}: not the weights of this network: missing {missing[:3]}, unknown {strange[:3]}; "
            "give the timm name that they were trained under"
        )
    return digest


def _digest(weights: str) -> str:
    try:
        return hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationError(f"{weights}: weights cannot be read ({error})") from error


def _hash_tensors(network: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _mean_colour(x_bchw: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 y x"]:
    return F.avg_pool2d(x_bchw, RAW_SITE)


def _patches(x_bchw: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
    return F.pixel_unshuffle(x_bchw, RAW_SITE)
