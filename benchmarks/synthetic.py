"""The plan over an index of millions of clips that do not exist: what it costs in time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from videomac.data import index
from videomac.data.manifest import seal
from videomac.records.manifest import Manifest, Shard


def synthetic_index(folder: str, samples: int, per_shard: int = 1000) -> str:
    """Write manifest and index of clips in shards of which only the first exists; return the manifest's path."""
    shards_per_group = index.ROWS_PER_GROUP // per_shard
    rows = per_shard * shards_per_group
    rng = np.random.default_rng(0)
    shards = []
    columns: dict[str, Any] = {
        "kind": pa.array(["video"] * rows),
        "offset": np.tile(np.arange(per_shard) * 2_000_000, shards_per_group),
        "size": np.full(rows, 1_900_000),
        "sha256": pa.array([rng.bytes(32).hex() for _ in range(rows)]),
        "frames": np.full(rows, 250, np.int32),
        "fps": np.full(rows, 25.0),
        "width": np.full(rows, 340, np.int32),
        "height": np.full(rows, 256, np.int32),
        "source_sha256": pa.array(["0" * 64] * rows),
        "segment_start": np.zeros(rows),
        "segment_end": np.full(rows, 10.0),
        "split": pa.array(["train"] * rows),
    }
    path = f"{folder}/{index.NAME}"
    with index.index_writer(path) as writer:
        for group in range(samples // rows):
            first = group * shards_per_group
            names = [f"s{first + i:06d}.tar" for i in range(shards_per_group)]
            keys = [f"clip-{group * rows + i:09d}" for i in range(rows)]
            varying = {
                "key": keys,
                "source": keys,
                "shard": np.repeat(names, per_shard),
                "duration": rng.uniform(2, 12, rows).round(2),
            }
            table = pa.table({name: {**columns, **varying}[name] for name in index.SCHEMA.names}).cast(index.SCHEMA)
            writer.write_table(table, row_group_size=rows)
            seconds = varying["duration"].reshape(shards_per_group, per_shard).sum(1)
            shards += [
                Shard(name=name, bytes=2_000_000_000, sha256="0" * 64, samples=per_shard, frames=250_000, seconds=s)
                for name, s in zip(names, seconds.tolist(), strict=True)
            ]
    Path(f"{folder}/{shards[0].name}").write_bytes(b"x")
    manifest = Manifest(
        shards=tuple(shards), index=index.describe_index(path), samples={"train": samples}, frames=0, seconds=0.0,
        rejected={}, settings={}, libraries={},
    )  # fmt: skip
    Path(f"{folder}/manifest.json").write_bytes(seal(manifest))
    return f"{folder}/manifest.json"


PLAN_PROBE = r"""
import json, re, sys, time
import numpy as np
from videomac import config
from videomac.data.plan import OpenPlan, read_plan
def peak(): return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
base = peak()
data = config.validate(config.Data, {"manifest": sys.argv[1]}, "probe")
begin = time.perf_counter()
plan = read_plan(data, 0); rows = OpenPlan(plan); rows.openings(0, 1)
start_s = time.perf_counter() - begin
begin = time.perf_counter(); rows.openings(0, 10_000); row_ms = (time.perf_counter() - begin) / 10
jumps = []
for g in np.random.default_rng(0).integers(0, 3 * plan.rows_per_epoch, 5).tolist():
    begin = time.perf_counter(); rows.openings(g, g + 1); jumps.append(time.perf_counter() - begin)
print(json.dumps({"start_s": start_s, "row_ms": row_ms, "jump_s": max(jumps), "memory_mb": peak() - base}))
"""


def plan_probe(manifest: str) -> dict[str, float]:
    """Measure start-up, rows, jumps and memory of the plan in a process of its own."""
    run = subprocess.run([sys.executable, "-c", PLAN_PROBE, manifest], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)
