"""Frozen features of frames. `load.load_extractor` makes an `Extractor` from the configuration; `extract` runs it.

Frames are normalised and replicate-padded right and bottom to a multiple of the network's stride. Features are cropped
to (ceil(H / s), ceil(W / s)), where s is the stage's stride, and each site is L2-normalised.

Shape letters: b batch, c channels, h w pixels, y x feature grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videomac.errors import EvaluationError
from videomac.facts.imagenet import IMAGENET_MEAN, IMAGENET_STD
from videomac.records.evaluation import FeatureFacts


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A frozen network up to one stage, and what it needs of its input."""

    network: Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c y x"]]
    stride: int
    """Pixels between two sites."""
    multiple: int
    """Frames are padded to a multiple of this many pixels."""
    facts: FeatureFacts
    """What results say about the features."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the sites down and across for frames of (height, width)."""
        return -(-size[0] // self.stride), -(-size[1] // self.stride)


@torch.inference_mode()
def extract(
    extractor: Extractor,
    frames_hwc: Iterable[np.ndarray],
    std_first: float | None = None,
    device: str = "cpu",
) -> Iterator[Float[Tensor, "c y x"]]:
    """Yield the features of uint8 (H, W, 3) frames, one at a time, in float32, L2-normalised at each site.

    `std_first` replaces the first channel's standard deviation where the network takes ImageNet's (preset `dino`).

    Raises:
        EvaluationError: the network refuses frames of this size.
    """
    std = extractor.std
    if std_first is not None and std == IMAGENET_STD:
        std = (std_first, *std[1:])
    mean_c11 = torch.tensor(extractor.mean, device=device)[:, None, None]
    std_c11 = torch.tensor(std, device=device)[:, None, None]
    for frame_hwc in frames_hwc:
        x_chw = torch.tensor(frame_hwc, device=device).permute(2, 0, 1).float() / 255
        padded_bchw = pad_to_multiple(((x_chw - mean_c11) / std_c11)[None], extractor.multiple)
        down, across = extractor.grid(frame_hwc.shape[:2])
        try:
            x_bcyx = extractor.network(padded_bchw)
        except (RuntimeError, AssertionError) as error:
            size = f"{padded_bchw.shape[3]}x{padded_bchw.shape[2]}"
            raise EvaluationError(
                f"{extractor.facts.architecture} does not accept frames of {size} pixels: {error}; use a ConvNet, a "
                "plain vision transformer or Swin, which take any size"
            ) from error
        yield F.normalize(x_bcyx[0, :, :down, :across].float(), dim=0)


def pad_to_multiple(x_bchw: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Replicate the last row and column until both sides are multiples."""
    height, width = x_bchw.shape[2:]
    return F.pad(x_bchw, (0, -width % multiple, 0, -height % multiple), mode="replicate")
