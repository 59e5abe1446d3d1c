"""Losses on clips that training never sees: rows of the validation split, decoded once and kept."""

from __future__ import annotations

import torch
import torch.distributed as dist

from videomac.config import Pretrain
from videomac.data.batch import Batch
from videomac.data.in_process import iterate
from videomac.data.plan import Plan, read_plans
from videomac.data.recipe import recipe_of
from videomac.pretrain.losses import pair_errors
from videomac.pretrain.model import normalise_frames
from videomac.pretrain.step import TrainState

NO_CLIPS = "log.held_out_every_steps needs clips in the split val; build shards with val_share > 0, or set it to 0"
"""What to do when no clip is held out."""


def read_training_plans(settings: Pretrain) -> tuple[Plan, Plan | None]:
    """Return the plan of the training, and that of the held-out clips if they are asked for.

    The driver does this for all workers: the index is scanned once, not by every rank at its first held-out loss.

    Raises:
        StorageError: manifest, index or shards cannot be read.
        DataError: there is no clip to train on, or none to score.
    """
    wanted = {"train": "", "val": NO_CLIPS} if settings.log.held_out_every_steps else {"train": ""}
    plan, *held_out = read_plans(settings.data, settings.run.seed, wanted)
    return plan, held_out[0] if held_out else None


class HeldOut:
    """Scores `log.held_out_pairs` rows, which the workers share.

    Args:
        settings: of the run.
        plan: of the held-out clips; None where they are not asked for.
        rank: of this worker.
        world: number of workers.
    """

    def __init__(self, settings: Pretrain, plan: Plan | None, rank: int, world: int) -> None:
        self._settings, self._plan, self._rank, self._world = settings, plan, rank, world
        self._batches: list[Batch] | None = None

    def losses(self, state: TrainState) -> dict[str, float]:
        """Return the mean losses over the masked cells of all held-out rows, in eval mode, by metric."""
        if self._batches is None:
            self._batches = self._decode()
        sums = torch.zeros(4, device=state.device)
        state.online.eval()
        for batch in self._batches:
            sums += _sums(state, batch.to(state.device))
        state.online.train()
        if dist.is_initialized():
            dist.all_reduce(sums)
        online, target, consistency, rows = sums.tolist()
        cells = max(rows, 1) * state.extent.masked_cells
        names = ("held_out_loss_online", "held_out_loss_target", "held_out_loss_consistency")
        return dict(zip(names, (online / cells, target / cells, consistency / cells), strict=True))

    def _decode(self) -> list[Batch]:
        """Decode this worker's share: the same pairs, crops and masks in all, whatever the number of workers."""
        settings = self._settings
        per_open = settings.data.pairs_per_open
        openings = -(-settings.log.held_out_pairs // per_open)
        begin, end = (openings * share // self._world * per_open for share in (self._rank, self._rank + 1))
        assert self._plan is not None  # the driver has read it, if anybody asks for these losses
        rows = min(settings.train.micro_batch, max(end - begin, 1))
        recipe = recipe_of(settings.data, settings.model, settings.run.seed)
        return list(iterate(self._plan, recipe, begin, end, rows, isolated=True))


@torch.no_grad()
def _sums(state: TrainState, batch: Batch) -> torch.Tensor:
    model = state.settings.model
    frame1_bchw, frame2_bchw = normalise_frames(batch.frames_b2hwc).unbind(1)
    good_b = batch.weight_b > 0
    online_bnd, _ = state.online(frame1_bchw, batch.cells_bk, good_b)
    target_bnd, _ = state.target(frame2_bchw, batch.cells_bk, good_b)
    errors = pair_errors(
        online_bnd, target_bnd, frame1_bchw, frame2_bchw, batch.cells_bk, model.cell, model.norm_target
    )
    return torch.stack([*((e * batch.weight_b).sum() for e in errors), batch.weight_b.sum()])
