"""Raw pixels as features: the baselines that every network must beat.

Shape letters: b batch, c channels, h w pixels, y x feature grid.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videomac.propagation.extractors import Extractor
from videomac.records.evaluation import FeatureFacts

SITE_PX = 8
"""Side of a site: the stride at which networks are usually compared."""


def mean_colour(x_bchw: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 y x"]:
    """Return the mean colour of each site."""
    return F.avg_pool2d(x_bchw, SITE_PX)


def patches(x_bchw: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
    """Return all pixels of each site as its channels."""
    return F.pixel_unshuffle(x_bchw, SITE_PX)


KINDS = {"raw_colour": mean_colour, "raw_patch": patches}
"""By `source` in the configuration."""


def raw_extractor(source: str) -> Extractor:
    """Return the extractor of one of `KINDS`."""
    return Extractor(KINDS[source], SITE_PX, SITE_PX, FeatureFacts(source=source, site_px=SITE_PX))
