"""Figures of the data path for metrics, TensorBoard and the report: our own counters, and Ray Data's stats."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Any

MIB = 2**20
PARTS = {"read_wait": "wait_read_us", "decode": "decode_us", "resize": "resize_us", "ship": "ship_us"}
"""Parts of the time that a pair takes, and the counter of their microseconds."""


def summed(counters: Iterable[Mapping[str, int]]) -> collections.Counter[str]:
    """Add the counters of all workers."""
    total: collections.Counter[str] = collections.Counter()
    for one in counters:
        total.update(one)
    return total


def data_figures(counters: Mapping[str, int]) -> dict[str, float]:
    """Return the counts of this attempt over all workers, and the milliseconds of one pair in the decode actors.

    `skipped_REASON` are pairs that could not be made; `clips_per_batch` are distinct clips of a micro-batch.
    """
    rows, bad = counters.get("rows", 0), counters.get("bad_rows", 0)
    figures = {f"{part}_ms_per_pair": counters.get(name, 0) / max(rows, 1) / 1000 for part, name in PARTS.items()}
    figures |= {
        "clips_read": counters.get("clips", 0),
        "pairs_made": rows - bad,
        "read_mb": counters.get("bytes", 0) / MIB,
        "storage_requests": counters.get("requests", 0),
        "storage_retries": counters.get("retries", 0),
        "clips_per_batch": counters.get("distinct_clips", 0) / max(counters.get("batches", 0), 1),
    }
    skipped = {name.removeprefix("bad_"): count for name, count in counters.items() if name.startswith("bad_")}
    return figures | {f"skipped_{reason}": count for reason, count in skipped.items() if reason != "rows"}


def ray_data_figures(summary: Any) -> dict[str, float]:
    """Return Ray Data's stats of the execution that runs now on one worker (`ray.data.Dataset.get_stats_summary()`).

    Seconds of the decode actors' tasks, blocks and MiB that they produced, seconds that the scheduling loop worked and
    that the consumer of the batches was blocked, and MiB spilled to disk.
    """
    decoding = [one for one in summary.operators_stats if one.wall_time is not None]
    return {
        "ray_task_s": sum(one.wall_time.sum for one in decoding),
        "ray_blocks": sum(one.output_num_rows.count for one in decoding if one.output_num_rows),
        "ray_output_mb": sum(one.output_size_bytes.sum for one in decoding if one.output_size_bytes) / MIB,
        "ray_schedule_s": summary.streaming_exec_schedule_s,
        "ray_blocked_s": summary.iter_stats.block_time.get(),
        "ray_spilled_mb": summary.dataset_bytes_spilled / MIB,
    }
