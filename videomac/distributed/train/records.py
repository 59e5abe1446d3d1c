"""What an attempt writes into the run folder and posts on the board: rank 0 does all of it but the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from videomac.config import Pretrain
from videomac.data.batch import Batch
from videomac.distributed.train.board import BoardClient, Figures, Progress
from videomac.errors import VideomacError
from videomac.pretrain.pictures import reconstructions
from videomac.pretrain.step import TrainState
from videomac.pretrain.writers import Writer, open_writers
from videomac.records import events, metrics
from videomac.records.metrics import MetricsLine
from videomac.storage.arrays import npz_bytes
from videomac.storage.background import Background
from videomac.storage.lines import JsonLines
from videomac.storage.run_folder import RAY_DATA_STATS, RunFolder

T = TypeVar("T")


class Records:
    """Metrics, events, pictures, the writers of other libraries, and the driver's screen. Silent unless `leads`."""

    def __init__(self, settings: Pretrain, board: BoardClient, leads: bool) -> None:
        self.folder = RunFolder(settings.run.storage, settings.run.name)
        self.step = 0
        """Steps done, for events."""
        self.last_checkpoint = "none"
        """Name of the newest good checkpoint."""
        self._settings, self._board, self._leads = settings, board, leads
        self._metrics = JsonLines(self.folder, metrics.FILE, silent=not leads)
        self._events = JsonLines(self.folder, events.FILE, silent=not leads)
        self._writers: list[Writer] = open_writers(settings, self.folder) if leads else []
        self._uploads = Background("pictures")
        self._probes_logged = 0

    def event(self, event: events.Event) -> None:
        """Write an event, with the time and the step of now."""
        if self._leads:
            self._events.write(event.model_copy(update={"time": time.time(), "step": self.step}))

    def show(self, figures: Figures) -> None:
        """Post figures for the driver's screen."""
        if self._leads:
            self._board.post(figures)

    def line(self, line: MetricsLine, steps: int) -> None:
        """Write a line of metrics to every writer, and show it. `steps` is the length of the run."""
        complete = line.joined(self._probe_figures())
        self._metrics.write(complete)
        self._to_writers(lambda writer: writer.scalars(complete.step, complete.figures()))
        progress: Progress = {
            "step": line.step, "steps": steps, "loss": line.loss, "pairs_per_s": line.pairs_per_s,
            "wait_share": line.wait_share, "eta_s": line.eta_s,
        }  # fmt: skip
        self.show({"stage": "pretrain: training", "progress": progress})

    def _probe_figures(self) -> dict[str, float]:
        """Return the scores of the newest probe that has ended since the last line."""
        if self._settings.probe is None:
            return {}
        probes = self._board.read().get("probes", [])
        new, self._probes_logged = probes[self._probes_logged :], len(probes)
        return new[-1] if new else {}

    def pictures(self, state: TrainState, batch: Batch) -> None:
        """Draw the reconstructions of a batch's pairs."""
        if not self._leads or not batch.weight_b.any():
            return
        arrays = reconstructions(state, batch, self._settings.log.picture_pairs)
        name, content = f"pictures/step_{state.step:07d}.npz", npz_bytes(arrays)
        self._uploads.start(lambda: self.folder.write(name, content))
        self._to_writers(lambda writer: writer.pictures(state.step, arrays))

    def _to_writers(self, act: Callable[[Writer], None]) -> None:
        """Call every writer; one whose server is down is given up, with an event, since it must not end the run."""
        for writer in list(self._writers):
            try:
                act(writer)
            except Exception as error:  # noqa: BLE001 - each library raises its own
                self._writers.remove(writer)
                name = type(writer).__name__
                self.event(events.WriterLost(writer=name, message=str(error)))
                self.show({"notices": [f"pretrain: {name} failed and gets no more metrics ({error})"]})

    def stopped(self, error: VideomacError) -> str:
        """Write down why the run ends early; returns the message, with the newest good checkpoint."""
        message = f"{error}; last good checkpoint: {self.last_checkpoint}"
        self.event(events.Stopped(error=type(error).__name__, message=message))
        return message

    def flush(self, ray_data_stats: str) -> None:
        """Write what a checkpoint covers, before it counts; with Ray Data's own summary."""
        self._to_writers(lambda writer: writer.flush())
        self._uploads.settle()
        for lines in (self._metrics, self._events):
            lines.flush()
        self.folder.write(RAY_DATA_STATS, ray_data_stats.encode())

    def close(self) -> None:
        """Leave nothing unwritten; also after an error."""
        self._to_writers(lambda writer: writer.close())
        self._uploads.settle()
        for lines in (self._metrics, self._events):
            lines.close()
