"""Measure pairs/s from shards to batches, against torch DataLoader + webdataset with the same decoder and crop.

.venv/bin/python benchmarks/data.py [--quick]

Two decoding processes on each side, the same shards, taking turns in one run. Also: where the time goes, what
re-encoding brings, ten times the shards with memory watched, the pause at a window's border, and the plan over a
synthetic index of 50 million samples (400,000 with --quick).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import ray
import torch
import torch.utils.data
import webdataset
from rich.console import Console
from rich.table import Table
from rows import Row, finish
from synthetic import plan_probe, synthetic_index

from shards.build import build_shards
from shards.finish import write_manifest
from videomac import config
from videomac.data import index
from videomac.data.manifest import load_manifest, open_storage
from videomac.data.pairs import Slot, cells_and_seed, make_pairs
from videomac.data.plan import Plan, read_plan
from videomac.data.recipe import Recipe, recipe_of
from videomac.data.spans import micro_steps
from videomac.distributed.data.decoding import Decoding
from videomac.distributed.data.stream import BatchStream
from videomac.facts.shipped import SAMPLES
from videomac.records.shards import IndexRow, Sample, ShardRecord
from videomac.storage.storage import Storage

PROCESSES = 2
SIZE = 224
ROWS = 32
"""Rows of a batch: the default micro-batch."""
TURN = PROCESSES * config.Data.model_fields["block_steps"].default
"""Batches of one turn of our actors: rows come in order, so while one actor's block is taken the other's waits."""
READY = {"ours": 2 * TURN, "theirs": 6}
"""Batches that a side may have ready from an earlier turn (26 and 4 were seen): taken before its clock starts."""
SETTLE_S = 1.5
"""Wait this long before a turn, until the other side has filled its queues and stands still."""
TURNS = 5
"""Turns in which speed and memory with more shards are measured."""
NO_PAUSE_S = 0.1
"""Waits below this are noise."""
STEP_S = 0.5
"""Time that the trainer takes for a batch where its waiting is measured."""


def settings_for(manifest: str, **dotted: Any) -> config.Pretrain:
    """Return the defaults of pretraining: 224 px, two pairs from an opened clip."""
    tree = {
        "run": {"name": "benchmark"},
        "data": {
            "manifest": manifest,
            "image_size": [SIZE, SIZE],
            "actors": PROCESSES,
            "pairs_per_second": 0.01,  # two pairs of every clip, long or short, as the other side takes them
        },
        "train": {"steps": 1, "batch_size": ROWS, "micro_batch": ROWS},
    }
    return config.validate(config.Pretrain, tree, "benchmark").with_values(**dotted)


def recipe_for(settings: config.Pretrain) -> Recipe:
    """Return what the rows of a run depend on."""
    return recipe_of(settings.data, settings.model, settings.run.seed)


def open_stream(settings: config.Pretrain, plan: Plan, rows: int) -> BatchStream:
    """Open the first `rows` rows of the plan as batches of one worker."""
    per_open = settings.data.pairs_per_open
    spans = micro_steps(0, rows, batch_size=ROWS, micro_batch=ROWS, pairs_per_open=per_open, rank=0, world=1)
    return BatchStream(Decoding(plan, recipe_for(settings), ROWS), spans)


# ---- ours and theirs ------------------------------------------------------------------------------------------------


def measured_rate(stream: Iterator[Any], rows: int, ready: int) -> float:
    """Return pairs/s over the next `rows` rows that are not decoded yet, while nothing else runs."""
    time.sleep(SETTLE_S)
    for _ in range(ready):
        next(stream)
    begin = time.perf_counter()
    for _ in range(rows // ROWS):
        next(stream)
    return rows / (time.perf_counter() - begin)


class Ours:
    """Batches by the plan, Ray Data's actors and their decoding processes."""

    def __init__(self, settings: config.Pretrain, most_rows: int) -> None:
        self.plan = read_plan(settings.data, 0)
        self.stream = open_stream(settings, self.plan, most_rows)
        next(self.stream)

    def pairs_per_s(self, rows: int) -> float:
        """See `measured_rate`."""
        return measured_rate(self.stream, rows, READY["ours"])


class WebdatasetPairs:
    """What a user of webdataset writes: tars read in order, two pairs of every clip with their masks, no shuffle."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __call__(self, samples: Iterator[dict[str, Any]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield pairs (2, h, w, 3) and visible cells (k,), two of every clip."""
        for number, sample in enumerate(samples):
            about = json.loads(sample["json"])
            known = Sample(sample["__key__"], "video", "", 0, 0, "", about["fps"], about["duration"])
            slots = [Slot(number, i, 2) for i in range(2)]
            pairs = make_pairs(self.recipe, known, sample["mp4"], slots)
            for slot, frames_2hw3 in zip(slots, pairs.frames_n2hw3, strict=True):
                cells_k, _ = cells_and_seed(self.recipe, known.key, slot)
                yield torch.from_numpy(frames_2hw3), torch.from_numpy(cells_k)


def collate(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    """Return frames and cells of a batch."""
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


class Theirs:
    """Batches by torch DataLoader over webdataset, the tars repeated endlessly."""

    def __init__(self, settings: config.Pretrain) -> None:
        storage, _ = open_storage(settings.data.manifest, None)
        tars = [storage.url(entry.name) for entry in storage.list() if entry.name.endswith(".tar")]
        pairs = WebdatasetPairs(recipe_for(settings))
        wds: Any = webdataset
        dataset = wds.DataPipeline(
            wds.ResampledShards(tars), wds.tarfile_to_samples(), pairs, wds.batched(ROWS, collation_fn=list)
        )
        loader = torch.utils.data.DataLoader(
            dataset, batch_size=None, num_workers=PROCESSES, collate_fn=collate, prefetch_factor=2
        )
        self.stream = iter(loader)
        next(self.stream)

    def pairs_per_s(self, rows: int) -> float:
        """See `measured_rate`."""
        return measured_rate(self.stream, rows, READY["theirs"])


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Medians of paired rounds in pairs/s, and what our side's counters say."""

    ours: float
    theirs: float
    ratio: float
    counters: Counter[str]
    wait_s: float


def compare(manifest: str, rounds: int, rows: int) -> Comparison:
    """Measure in paired rounds: each side runs while the other one's queues are full and it stands still."""
    settings = settings_for(manifest)
    ours, theirs = Ours(settings, ROWS * 100_000), Theirs(settings)
    measured = [(ours.pairs_per_s(rows), theirs.pairs_per_s(rows)) for _ in range(rounds)]
    counters, wait_s = ours.stream.counters, ours.stream.wait_s
    ours.stream.close()
    return Comparison(
        statistics.median(a for a, _ in measured),
        statistics.median(b for _, b in measured),
        statistics.median(a / b for a, b in measured),
        counters,
        wait_s,
    )


def parts(counters: dict[str, int]) -> list[tuple[str, float]]:
    """Return milliseconds per pair by part, summed over the decoding processes."""
    names = {"wait_read_us": "read", "decode_us": "decode", "resize_us": "resize", "ship_us": "between processes"}
    return [(label, counters[name] / counters["rows"] / 1000) for name, label in names.items()]


# ---- more shards ----------------------------------------------------------------------------------------------------


def build(folder: str, reencode: bool) -> str:
    """Build shards of the shipped clips; return the manifest's path."""
    tree = {"source": str(SAMPLES / "clips"), "out": folder, "shard_mb": 2.0, "reencode": reencode}
    tree |= {"short_side": 256} if reencode else {}
    build_shards(config.validate(config.BuildShards, tree, "benchmark"), on_progress=lambda *_: None)
    return f"{folder}/manifest.json"


def many_times(manifest: str, folder: str, times: int) -> str:
    """Write the same shards under `times` names with different keys; return the manifest's path."""
    source = os.path.dirname(manifest)
    shards = load_manifest(manifest).shards
    opened = index.Index(Storage(source), load_manifest(manifest))
    records = []
    os.makedirs(folder)
    for copy in range(times):
        for number, shard in enumerate(shards):
            name = f"copy{copy:03d}-{shard.name}"
            os.link(f"{source}/{shard.name}", f"{folder}/{name}")
            rows = opened.shard_rows(number, index.SCHEMA.names).to_pylist()
            copied = (IndexRow(**{**row, "key": f"{row['key']}-{copy}", "shard": name}) for row in rows)
            records.append(ShardRecord(name=name, bytes=shard.bytes, sha256=shard.sha256, rows=tuple(copied)))
    write_manifest(Storage(folder), records)
    return f"{folder}/manifest.json"


def actor_memory_mb(stream: BatchStream) -> float:
    """Return the memory of the largest decode actor, without the object store's pages, which have their own limit."""
    sizes = [psutil.Process(pid).memory_info() for pid in stream.decoder_pids]
    return max(size.rss - size.shared for size in sizes) / 2**20


def throughput(manifest: str, rows: int, turns: int = 1) -> tuple[float, float]:
    """Return the most pairs/s over `rows` rows of several turns, and the largest memory of an actor after any of them.

    What an actor has read ahead comes and goes: a single look at its memory is off by tens of MB.
    """
    ours = Ours(settings_for(manifest), (turns + 1) * (rows + READY["ours"] * ROWS) + rows)
    ours.pairs_per_s(rows // 2)
    seen = [(ours.pairs_per_s(rows), actor_memory_mb(ours.stream)) for _ in range(turns)]
    ours.stream.close()
    return max(speed for speed, _ in seen), max(memory for _, memory in seen)


def border_pause(manifest: str) -> tuple[float, float]:
    """Return the longest waits of a trainer that is the slower side: inside windows and at their borders, in seconds.

    The shards hold one batch an epoch or less: epochs end inside every window.
    """
    per_window = 30
    settings = settings_for(manifest, **{"data.window_blocks": per_window})
    stream = open_stream(settings, read_plan(settings.data, 0), 3 * per_window * ROWS)
    waits = []
    for _ in range(3 * per_window):
        before = stream.wait_s
        next(stream)
        waits.append(stream.wait_s - before)
        time.sleep(STEP_S)
    stream.close()
    inside = [wait for place, wait in enumerate(waits) if place % per_window]
    return max(inside), max(waits[per_window::per_window])


# ---- the whole ------------------------------------------------------------------------------------------------------


def measure(folder: str, quick: bool, console: Console) -> list[Row]:
    """Measure all cases; print what is behind each number."""
    rounds, rows = (2, TURN * ROWS) if quick else (7, 2 * TURN * ROWS)
    encoded = build(f"{folder}/encoded", reencode=True)
    result = compare(encoded, rounds, rows)
    console.print(f"pairs/s: ours {result.ours:.1f}, DataLoader + webdataset {result.theirs:.1f}")
    table = Table("ms per pair", "sum over processes")
    for name, ms in parts(result.counters):
        table.add_row(name, f"{ms:.2f}")
    table.add_row("wait in next(batch)", f"{1000 * result.wait_s / result.counters['rows']:.2f}")
    console.print(table)
    found = [Row("pairs/s, 2 decoding processes", result.ratio, "DataLoader + webdataset", 1.0)]
    found += memory_and_plan(folder, quick, console)
    return found if quick else found + scaling(folder, encoded, rows, console)


def scaling(folder: str, encoded: str, rows: int, console: Console) -> list[Row]:
    """Measure other shards, more shards, and the borders of windows."""
    original, _ = throughput(build(f"{folder}/original", reencode=False), rows)
    speed, memory = throughput(encoded, rows, TURNS)
    console.print(f"re-encoded shards {speed:.1f} pairs/s, original bytes {original:.1f}")
    tenfold, more_memory = throughput(many_times(encoded, f"{folder}/tenfold", 10), rows, TURNS)
    console.print(f"ten times the shards: {tenfold:.1f} pairs/s, actor {more_memory:.0f} MB (one: {memory:.0f} MB)")
    inside, border = border_pause(encoded)
    console.print(f"longest wait: {inside:.2f} s inside a window, {border:.2f} s at a border")
    return [
        Row("pairs/s, re-encoded shards", speed / original, "bytes as they came", None),
        Row("pairs/s, ten times the shards", tenfold / speed, "once the shards", None),
        Row("an actor's memory, ten times the shards", memory / more_memory, "once the shards", 0.9),
        Row("wait at a window's border", (inside + NO_PAUSE_S) / (border + NO_PAUSE_S), "inside a window", 0.5),
    ]


def memory_and_plan(folder: str, quick: bool, console: Console) -> list[Row]:
    """Measure the plan over a synthetic index, as shares of what it may cost."""
    samples = 400_000 if quick else 50_000_000
    os.makedirs(f"{folder}/synthetic")
    probe = plan_probe(synthetic_index(f"{folder}/synthetic", samples))
    limits = {"start_s": 20.0, "row_ms": 0.2, "jump_s": 0.5, "memory_mb": 200.0}
    table = Table(f"plan, {samples:,} samples", "measured", "at most")
    for name, limit in limits.items():
        table.add_row(name, f"{probe[name]:.3g}", f"{limit:g}")
    console.print(table)
    return [Row(f"plan, {name}", limit / probe[name], f"limit {limit:g}", 1.0) for name, limit in limits.items()]


def main() -> int:
    """Run everything in a temporary folder; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    quick = parser.parse_args().quick
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = tempfile.mkdtemp(prefix="videomac-data-")
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        rows = measure(folder, quick, Console())
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    return finish("data", rows)


if __name__ == "__main__":
    sys.exit(main())
