"""What the driver says while clips are scored."""

from __future__ import annotations

import time

from videomac.evaluation.setup import Job
from videomac.text import clock


class Progress:
    """A line for every scored clip: on which features, how well, and how long the rest takes."""

    def __init__(self, total: int, headline: str) -> None:
        self._total, self._headline, self._done = total, headline, 0
        self._start = time.monotonic()

    def scored(self, job: Job, scores: dict[str, float]) -> None:
        """Say that a job was scored."""
        self._say(job, f"{self._headline} {scores[self._headline]:.3f}")

    def failed(self, job: Job, error: str) -> None:
        """Say that a job was not scored, and why."""
        self._say(job, "not scored")
        print(f"{job.candidate.label}, {job.clip.name}: not scored: {error}", flush=True)

    def _say(self, job: Job, outcome: str) -> None:
        self._done += 1
        left_s = (time.monotonic() - self._start) / self._done * (self._total - self._done)
        seed = f", seed {job.seed}" if len(job.candidate.seeds) > 1 else ""
        print(
            f"evaluate: {self._done} of {self._total} | {job.candidate.label}{seed}, {job.clip.name}: {outcome} | "
            f"{clock(left_s)} left",
            flush=True,
        )
