"""What every encoder is: a trunk of layers, run on the sites of a backend.

Shape letters: b batch, c channels, h w pixels, k visible cells, t sites along one side of a cell, l blocks.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Literal

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from videomac.errors import ConfigError
from videomac.facts.grid import grid_of
from videomac.facts.networks import stage_strides
from videomac.nn.batchnorm import recomputing
from videomac.nn.drop_path import drop_path_rates, drop_path_scales
from videomac.nn.sites.masked import MaskedSites
from videomac.nn.sites.minkowski import MinkowskiSites
from videomac.nn.sites.packed import PackedSites
from videomac.nn.sites.protocol import Features, Sites

Scales = list[Float[Tensor, " b"]] | list[None]
"""Drop-path scale of each block, or None for each where nothing is dropped."""


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """What an encoder is, besides its depths and widths.

    Raises:
        ConfigError: the cell is neither 16 nor 32 px.
    """

    name: str = ""
    """timm's name of the network."""
    variant: Literal["standard", "paper"] = "standard"
    """`standard`: timm's network; `paper`: the published VideoMAC code's."""
    cell: int = 32
    """Side of a mask cell in pixels, and the network's total stride: the last stage has one site per cell."""
    backend: Literal["packed", "masked", "minkowski"] = "packed"
    """How the network is computed; all backends give the same results."""
    drop_path: float = 0.0
    """Stochastic depth rate of the last block."""
    gradient_checkpointing: bool = False
    """Whether blocks are computed again in the backward pass instead of being stored."""

    def __post_init__(self) -> None:
        if self.cell not in (16, 32):
            raise ConfigError(
                f"model.cell: a cell of {self.cell} px does not fit the network: a site of the last stage covers "
                "exactly one cell; use 32, or 16, which drops the stride of the last stage"
            )


class Encoder(nn.Module, abc.ABC):
    """A masked ConvNet. Subclasses hold the parameters under timm's names and define `trunk`."""

    BACKENDS: ClassVar[dict[str, Callable[..., Sites[Features]]]] = {
        "packed": PackedSites,
        "masked": MaskedSites,
        "minkowski": MinkowskiSites,
    }

    def __init__(self, spec: EncoderSpec, depths: Sequence[int], dims: Sequence[int]) -> None:
        super().__init__()
        self.depths = tuple(depths)
        """Blocks of the four stages."""
        self.dims = tuple(dims)
        """Channels of the four stages."""
        self.strides = stage_strides(spec.cell)
        """Pixels per site in the four stages."""
        self.name, self.variant = spec.name, spec.variant
        self.backend, self.drop_path = spec.backend, spec.drop_path
        self.gradient_checkpointing = spec.gradient_checkpointing

    @property
    def cell(self) -> int:
        """Side of a mask cell in pixels: the total stride."""
        return self.strides[-1]

    @property
    def num_blocks(self) -> int:
        """Residual blocks of the network: columns of `uniform_bl`."""
        return sum(self.depths)

    def forward(
        self,
        x_bchw: Float[Tensor, "b 3 h w"],
        cells_bk: Int64[Tensor, "b k"],
        valid_b: Bool[Tensor, " b"] | None = None,
        uniform_bl: Float[Tensor, "b l"] | None = None,
    ) -> list[Float[Tensor, "b k _ _ _"]]:
        """Return the four stages at the visible cells, each (b, k, t, t, dims[i]) with t = cell / strides[i].

        Args:
            x_bchw: normalised images, multiples of the cell; hidden pixels are never read (they may be NaN).
            cells_bk: the visible cells of each image, ascending.
            valid_b: samples that take part in norms over the batch (BatchNorm, `paper` GRN); None: all.
            uniform_bl: numbers in [0, 1), one per sample and block; a block is dropped where its number is below the
                block's rate. None: no drop path.

        Raises:
            ConfigError: the image is not a whole number of cells.
        """
        grid = grid_of(x_bchw.shape[2], x_bchw.shape[3], self.cell)
        sites = self.BACKENDS[self.backend](cells_bk, grid, valid_b)
        return [sites.pack(stage) for stage in self.trunk(sites, x_bchw, uniform_bl)]

    def dense(self, x_bchw: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the four stages of the same network with every cell visible, each (b, dims[i], h / s, w / s).

        Any height and width that are multiples of the last stride.
        """
        sites = MaskedSites(None, grid_of(x_bchw.shape[2], x_bchw.shape[3], self.cell))
        return [stage.permute(0, 3, 1, 2) for stage in self.trunk(sites, x_bchw, None)]

    @abc.abstractmethod
    def trunk(
        self, sites: Sites[Features], x_bchw: Float[Tensor, "b 3 h w"], uniform_bl: Float[Tensor, "b l"] | None
    ) -> list[Features]:
        """Return all stages as maps of the backend."""

    def run(self, blocks: Sequence[nn.Module], x: Features, sites: Sites[Features], scales: Scales) -> Features:
        """Run residual blocks one after another; with gradient checkpointing the backward pass computes them again."""
        for block, scale_b in zip(blocks, scales, strict=True):
            if self.gradient_checkpointing and self.training:
                x = checkpoint(
                    block, x, sites, scale_b, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts
                )
            else:
                x = block(x, sites, scale_b)
        return x

    def drop_scales(self, uniform_bl: Float[Tensor, "b l"] | None) -> list[Scales]:
        """Return the drop-path scales of the blocks, stage by stage."""
        scales = drop_path_scales(uniform_bl, drop_path_rates(self.drop_path, self.num_blocks))
        return [scales[sum(self.depths[:i]) : sum(self.depths[: i + 1])] for i in range(len(self.depths))]


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of a block's forward pass, and of its second one in the backward pass."""
    return nullcontext(), recomputing()
