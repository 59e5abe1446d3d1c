"""Which checkpoint an attempt starts from."""

from __future__ import annotations

import dataclasses

import ray.train
from ray.train import Checkpoint, CheckpointConsistencyMode

from videomac.distributed.train.agreement import Agreement
from videomac.distributed.train.records import Records
from videomac.errors import CheckpointError
from videomac.pretrain import checkpoint
from videomac.pretrain.resume import check_resumable
from videomac.pretrain.step import TrainState
from videomac.records import events
from videomac.records.checkpoint import DataFacts


@dataclasses.dataclass
class Resume:
    """Chooses and loads a checkpoint, as all workers see it."""

    agreement: Agreement
    records: Records
    facts: DataFacts
    """Of the data that the run is given now."""

    def load(self, state: TrainState, known: list[Checkpoint]) -> DataFacts:
        """Set the state to the newest intact checkpoint; returns the facts of the data that it was made with.

        Without any checkpoint the run starts at its beginning.

        Raises:
            CheckpointError: every checkpoint is damaged, or it does not match the network, the data or the settings.
        """
        complaints = []
        for candidate in reversed(known):
            with candidate.as_directory() as path:
                complaint = self.agreement.first(_complaint(path))
                if complaint is None:
                    saved = checkpoint.load(state, path)
                    check_resumable(state, saved, self.facts)
                    self.records.step, self.records.last_checkpoint = state.step, name_of(candidate)
                    return saved
            complaints.append(complaint)
            self.records.event(events.DamagedCheckpoint(message=complaint))
            self.records.show({"notices": [f"pretrain: {complaint}; trying the previous checkpoint"]})
        if complaints:
            raise CheckpointError(f"no checkpoint of {self.records.folder.url} is intact: {complaints[0]}")
        return self.facts


def reported_checkpoints() -> list[Checkpoint]:
    """Return all committed checkpoints that Ray Train keeps of this run, oldest first."""
    reported = ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)
    return [one.checkpoint for one in reported]


def name_of(kept: Checkpoint) -> str:
    """Return the name of a checkpoint's folder."""
    return kept.path.rstrip("/").rpartition("/")[2]


def _complaint(path: str) -> str | None:
    try:
        checkpoint.verify(path)
    except CheckpointError as error:
        return str(error)
    return None
