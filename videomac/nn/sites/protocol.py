"""What a backend knows about a map: which sites exist, and how a kernel reaches their neighbours.

Shape letters: b batch, s sites of one sample, k visible cells, t sites along one side of a cell, h w sites of the whole
map, c o channels in and out.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Features = Float[Tensor, "b ... _"]
"""A map of features, packed (b k t t c) or dense (b h w c)."""
Map = TypeVar("Map")
"""The maps of one backend: packed or dense."""


@runtime_checkable
class Sites(Protocol[Map]):
    """The visible sites of a batch: the operations that need to know where they lie.

    A backend computes on one kind of map; layers take `Sites[Features]`, whichever it is.
    """

    valid_b: Bool[Tensor, " b"] | None
    """Samples that take part in norms over the batch; None: all."""

    def image(self, x_bchw: Float[Tensor, "b c h w"], /) -> Map:
        """Return the image as the first map."""
        ...

    def zero_hidden(self, x: Map, /) -> Map:
        """Return the map with zeros at hidden sites, where they are stored at all."""
        ...

    def linear(self, x: Map, layer: nn.Linear | nn.Conv2d, /) -> Map:
        """Apply a linear layer or 1x1 convolution at every site; what it gives at hidden ones does not count."""
        ...

    def conv(self, x: Map, layer: nn.Conv2d, /) -> Map:
        """Apply a convolution in which hidden sites count as zero and stay hidden."""
        ...

    def max_pool(self, x: Map, /) -> Map:
        """Take the 3x3 maximum at stride 2 over visible sites."""
        ...

    def counted(self, x: Map, /) -> Float[Tensor, "b _"] | None:
        """Return 1 where a site takes part in norms over the batch, else 0; None: all take part.

        (b, s), or (b, 1) for all sites of a sample alike.
        """
        ...

    def pack(self, x: Map, /) -> Float[Tensor, "b k t t c"]:
        """Return the map as packed cells."""
        ...


def pointwise(x: Features, layer: nn.Linear | nn.Conv2d) -> Features:
    """Apply a linear layer or 1x1 convolution at every site."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)
