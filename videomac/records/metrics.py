"""A line of metrics.jsonl.

Most figures have a field. Two families are open: `skipped_REASON`, a count for each reason why a pair could not be
made, and `probe/NAME`, the scores of label propagation, whose names depend on the task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pydantic

from videomac.errors import VideomacError
from videomac.records.base import Number, Record

FILE = "metrics.jsonl"
SKIPPED, PROBE = "skipped_", "probe/"
"""Prefixes of the open families."""
PROBE_STEP = f"{PROBE}step"
"""The step of the checkpoint whose scores stand in the line, which is an earlier one than the line's."""


class _Line(Record):
    """What every line has; further keys are figures of the open families."""

    model_config = pydantic.ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int | Number] = pydantic.Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    step: int
    """Optimizer steps done, over the whole run."""

    @pydantic.model_validator(mode="after")
    def _families(self) -> _Line:
        strange = [key for key in self.__pydantic_extra__ if not key.startswith((SKIPPED, PROBE))]
        if strange:
            raise ValueError(f"{', '.join(strange)}: not a metric")
        return self

    def figures(self) -> dict[str, float]:
        """Return the finite numbers of the line by key, without its position (`step`, `rows`)."""
        plain = self.model_dump(exclude_unset=True, exclude={"step", "rows"})
        return {key: float(n) for key, n in plain.items() if isinstance(n, (int, float)) and math.isfinite(n)}


class ProbeLine(_Line):
    """Scores of a probe that ended after the last line of the workers: `step` and keys of the family `probe/`."""

    omits_unset = True


class MetricsLine(_Line):
    """What the workers report each `log.every_steps`.

    After a restart steps come again; the last line of a step counts.
    """

    omits_unset = True

    rows: int
    """Rows of the plan used, over the whole run."""
    time_s: float
    """Seconds since the attempt's loop started."""
    loss: Number
    """`loss_online` + `loss_target` + gamma x `loss_consistency`; gradients come from the first and the last."""
    loss_online: Number
    """L_o: the online network's reconstruction of frame 1, mean over the masked cells of the step."""
    loss_target: Number
    """L_t: the target network's reconstruction of frame 2; it carries no gradient."""
    loss_consistency: Number
    """L_c: the online prediction against the target network's."""
    lr: float
    """Learning rate of the step."""
    momentum: float
    """EMA momentum of the step."""
    grad_norm: Number
    """Norm of the gradient before clipping."""
    pairs_per_s: float
    """Pairs per second of all workers, since the previous line."""
    step_s: float
    """Seconds of a step, since the previous line."""
    wait_share: float
    """Share of the time since the previous line in which workers waited for data, mean over workers."""
    wait_share_total: float
    """The same since the end of the attempt's first step."""
    eta_s: float
    """Seconds left at this pace."""
    memory_mb: float
    """Resident memory of worker 0, MiB (on a GPU: the most allocated so far)."""
    feature_std: Number
    """Spread of the pooled, normalized last stage over a batch: near 1 is healthy, 0 is collapse."""
    target_distance: Number
    """Norm of (target - online) over the norm of online, over all parameters."""
    bad_rows: int
    """Bad rows since the start of the run."""
    skipped_steps: int
    """Steps without an update since the start of the run."""
    skipped: str | None
    """Why this step made no update: `no_valid_row`, `nonfinite` or `scaler`; null for a normal step."""
    held_out_loss_online: Number | None = None
    """L_o on the validation split, each `log.held_out_every_steps`."""
    held_out_loss_target: Number | None = None
    """L_t on the validation split."""
    held_out_loss_consistency: Number | None = None
    """L_c on the validation split."""
    read_wait_ms_per_pair: float | None = None
    """Milliseconds that decoding a pair waited for its bytes, mean over all decode actors."""
    decode_ms_per_pair: float | None = None
    """Milliseconds of decoding, likewise."""
    resize_ms_per_pair: float | None = None
    """Milliseconds of cropping and resizing, likewise."""
    ship_ms_per_pair: float | None = None
    """Milliseconds of handing the pair to Ray, likewise."""
    clips_read: int | None = None
    """Clips opened by all workers since the attempt started."""
    pairs_made: int | None = None
    """Good pairs of all workers since the attempt started."""
    read_mb: float | None = None
    """MiB read by all workers since the attempt started."""
    storage_requests: int | None = None
    """Requests to the storage of the shards since the attempt started."""
    storage_retries: int | None = None
    """Those among them that were repeated."""
    clips_per_batch: float | None = None
    """Distinct clips in a micro-batch, mean."""
    ray_task_s: float | None = None
    """`Dataset.stats()` of worker 0's running window: seconds of the decode actors' tasks."""
    ray_blocks: int | None = None
    """Blocks that they gave."""
    ray_output_mb: float | None = None
    """MiB that they gave."""
    ray_schedule_s: float | None = None
    """Seconds in the scheduling loop, its waiting included."""
    ray_blocked_s: float | None = None
    """Seconds that the consumer of the batches was blocked."""
    ray_spilled_mb: float | None = None
    """MiB spilled to disk."""

    def joined(self, figures: Mapping[str, float]) -> MetricsLine:
        """Return the line with further figures; raises ValueError for a key that is not a metric."""
        return MetricsLine.model_validate(self.model_dump(exclude_unset=True) | dict(figures))


def is_metric(key: str) -> bool:
    """Return whether lines may have this key, so that a reader's typo is found."""
    return key in MetricsLine.model_fields or key.startswith((SKIPPED, PROBE))


def parse_line(content: bytes | str, origin: str) -> MetricsLine | ProbeLine:
    """Return the line in `content`; raises VideomacError naming `origin` if it is neither."""
    try:
        return MetricsLine.from_json(content, origin)
    except VideomacError as full:
        try:
            return ProbeLine.from_json(content, origin)
        except VideomacError:
            raise full from None
