"""What a worker's rows are decoded from, and what the decode actors need to be given."""

from __future__ import annotations

import dataclasses

from videomac.config import Data
from videomac.data.plan import Plan
from videomac.data.recipe import Recipe
from videomac.data.row_maker import DECODER

WINDOWS_AT_A_BORDER = 2
"""Windows whose actors are alive at a border: the one that ends and the next."""


@dataclasses.dataclass(frozen=True)
class Decoding:
    """Everything that the micro-batches of one worker depend on, besides their spans."""

    plan: Plan
    recipe: Recipe
    micro_batch: int
    """Rows of a batch."""
    world: int = 1
    """Workers that share the object store's memory."""
    pin_memory: bool = False
    """Whether batches are copied to pinned memory, for copies to a GPU."""
    target: str = DECODER
    """What the decoding process runs."""

    @property
    def data(self) -> Data:
        """The data section of the configuration."""
        return self.plan.data

    @property
    def batch_bytes(self) -> int:
        """Bytes of a batch's pixels."""
        height, width = self.recipe.image_size
        return self.micro_batch * 2 * height * width * 3


def cpus_needed(data: Data, world: int) -> float:
    """Return the CPUs that Ray must be able to book for decoding, besides those of the training workers."""
    return WINDOWS_AT_A_BORDER * world * data.actors * data.cpus_per_actor
