"""What a backend must know of a map: which sites exist, and how a kernel reaches their neighbours.

Shape letters: b batch, s sites of one sample, k visible cells, t sites along one side of a cell, h w, c channels.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Features = Float[Tensor, "b ... _"]
"""A map of features, packed (b k t t c) or dense (b h w c)."""


@runtime_checkable
class Sites(Protocol):
    """What a backend knows: which sites exist and how a kernel reaches their neighbours."""

    valid_b: Bool[Tensor, " b"] | None
    """Rows that take part in norms over the batch; None: all."""

    def image(self, x_bchw: Any, /) -> Any:
        """The image as the first map."""

    def keep(self, x: Any, /) -> Any:
        """The map with hidden sites at zero, where they are stored at all."""

    def linear(self, x: Any, layer: nn.Linear | nn.Conv2d, /) -> Any:
        """A linear layer or 1x1 convolution at every site; what it gives at hidden ones does not count."""

    def conv(self, x: Any, layer: nn.Conv2d, /) -> Any:
        """A convolution in which hidden sites count as zero and stay hidden."""

    def max_pool(self, x: Any, /) -> Any:
        """3x3 maximum at stride 2 over visible sites."""

    def weight(self, x: Any, /) -> Any:
        """(b, s), or (b, 1) for all sites of a row: 1 where they take part in norms over the batch; None: all."""

    def pack(self, x: Any, /) -> Any:
        """The map as packed cells (b, k, t, t, c)."""


def pointwise(x: Features, layer: nn.Linear | nn.Conv2d) -> Features:
    """A linear layer or 1x1 convolution at every site."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)
