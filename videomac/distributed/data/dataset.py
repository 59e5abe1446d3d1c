"""The Ray Data pipeline of one window: spans as blocks, decoded in order by a fixed pool of actors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import ray.data
from ray.data import ActorPoolStrategy, ExecutionResources

from videomac.config import Data
from videomac.data.spans import Span
from videomac.distributed.data.actor import DecodeActor
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.throttle import Throttle

BATCHES_OF_A_TASK = 4
"""Ray Data counts two batches for a running task, and keeps as much again for its outputs."""


def window_dataset(spans: Sequence[Span], decoding: Decoding, known_bad: Mapping[str, int]) -> ray.data.Dataset:
    """Return the lazy data set of a window: blocks of at most `block_steps` spans, one block of output per batch."""
    data = decoding.data
    count = math.ceil(len(spans) / data.block_steps)
    # Unlike `from_arrow`, this needs no task of one CPU per block: next to the workers such tasks might never start.
    rows = [dataclasses.asdict(span) for span in spans]
    dataset = ray.data.from_items(rows, override_num_blocks=count).map_batches(
        DecodeActor,
        fn_constructor_args=(decoding, dict(known_bad)),
        batch_size=None,
        compute=ActorPoolStrategy(size=min(data.actors, count)),
        num_cpus=data.cpus_per_actor,
    )
    context = dataset.context
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.custom_execution_callback_classes = [Throttle]
    context.target_max_block_size = decoding.batch_bytes  # a block per batch: handed on as soon as it is decoded
    context.wait_for_min_actors_s = round(data.start_timeout_s)
    context.execution_no_progress_timeout_s = round(data.stall_timeout_s)
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=_store_bytes(decoding))
    return dataset


def _store_bytes(decoding: Decoding) -> float:
    """Return this worker's share of the object store, or more if its actors could not all work within it."""
    share = decoding.data.object_store_mb * 2**20 / decoding.world
    return max(share, least_waiting(decoding.data) * decoding.batch_bytes)


def least_waiting(data: Data) -> int:
    """Return how many batches must be allowed to wait so that all actors can work.

    Rows come in order: while one actor's block is taken, the blocks of the others wait. And Ray Data counts batches
    for every running task.
    """
    waiting = data.block_steps if data.actors > 1 else 1
    return data.actors * (waiting + BATCHES_OF_A_TASK)
