"""What every encoder is: a trunk of layers, run on the sites of a backend.

Shape letters: b batch, c channels, h w pixels, k visible cells, t sites along one side of a cell, l blocks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from videomac.errors import ConfigError
from videomac.facts.grid import grid_of
from videomac.nn.batchnorm import recomputing
from videomac.nn.drop_path import drop_path_rates, drop_path_scales
from videomac.nn.sites.masked import MaskedSites
from videomac.nn.sites.minkowski import MinkowskiSites
from videomac.nn.sites.packed import PackedSites
from videomac.nn.sites.protocol import Sites


class Encoder(nn.Module):
    """A masked ConvNet. Subclasses hold the parameters under timm's names and write `trunk`."""

    BACKENDS: ClassVar[dict[str, Any]] = {"packed": PackedSites, "masked": MaskedSites, "minkowski": MinkowskiSites}

    dims: tuple[int, ...]
    """Channels of the four stages."""
    strides: tuple[int, ...]
    """Pixels per site in the four stages."""
    depths: tuple[int, ...]
    """Blocks of the four stages."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.variant, self.cell = "", "standard", 32
        self.backend = "packed"
        self.drop_path = 0.0
        self.gradient_checkpointing = False

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
        """The four stages at the visible cells, each (b, k, t, t, dims[i]) with t = cell / strides[i].

        Args:
            x_bchw: normalised images, multiples of the cell; hidden pixels are never read (they may be NaN).
            cells_bk: the visible cells of each image, ascending.
            valid_b: rows that take part in norms over the batch (BatchNorm, `paper` GRN); None: all.
            uniform_bl: numbers in [0, 1), one per sample and block; a block is dropped where its number is below the
                block's rate. None: no drop path.

        Raises:
            ConfigError: the image is no whole number of cells, or a site of the last stage would cover two cells.
        """
        refuse_cell(self.cell, self.strides[-1])
        grid = grid_of(x_bchw.shape[2], x_bchw.shape[3], self.cell)
        sites = self.BACKENDS[self.backend](cells_bk, grid, valid_b)
        return [sites.pack(stage) for stage in self.trunk(sites, x_bchw, uniform_bl)]

    def dense(self, x_bchw: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The four stages of the same network with every cell visible, each (b, dims[i], h / s, w / s).

        Any height and width that are multiples of the last stride.
        """
        last = self.strides[-1]
        sites = MaskedSites(None, grid_of(x_bchw.shape[2], x_bchw.shape[3], last))
        return [stage.permute(0, 3, 1, 2) for stage in self.trunk(sites, x_bchw, None)]

    def trunk(self, sites: Sites, x_bchw: Tensor, uniform_bl: Tensor | None) -> list[Any]:
        """All stages as maps of the backend."""
        raise TypeError(f"{type(self).__name__} has no trunk for {type(sites).__name__}, {x_bchw.shape}, {uniform_bl}")

    def run(self, blocks: list[nn.Module], x: Any, sites: Sites, scales: list[Tensor | None]) -> Any:
        """Residual blocks one after another, recomputed in the backward pass where the configuration says so."""
        for block, scale_b in zip(blocks, scales, strict=True):
            if self.gradient_checkpointing and self.training:
                x = checkpoint(
                    block, x, sites, scale_b, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts
                )
            else:
                x = block(x, sites, scale_b)
        return x

    def drop_scales(self, uniform_bl: Tensor | None) -> list[list[Tensor | None]]:
        """Drop-path scales of the blocks, stage by stage."""
        scales = list(drop_path_scales(uniform_bl, drop_path_rates(self.drop_path, self.num_blocks)))
        return [scales[sum(self.depths[:i]) : sum(self.depths[: i + 1])] for i in range(len(self.depths))]


def refuse_cell(cell: int, stride: int) -> None:
    """A site may never cover two cells, and the decoder wants one site a cell: the cell is the total stride.

    Raises:
        ConfigError: it is not.
    """
    if cell != stride:
        raise ConfigError(
            f"model.cell: a cell of {cell} px does not fit a network of total stride {stride}; use cells of 32 px "
            "(stride 32), or of 16 px: `build_encoder(..., cell=16)` keeps stride 1 in the last downsampling"
        )


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around a block's forward pass, and around its second one in the backward pass."""
    return nullcontext(), recomputing()
