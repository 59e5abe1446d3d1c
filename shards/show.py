"""`videomac show-shards`: a summary, and a page of frame pairs as training will see them, with crop, flip and mask."""

from __future__ import annotations

import numpy as np

from videomac.config import Data, Model, ShowShards
from videomac.data.batch import Batch
from videomac.data.in_process import iterate
from videomac.data.manifest import load_manifest
from videomac.data.plan import read_plan
from videomac.data.recipe import recipe_of
from videomac.data.status import Code
from videomac.facts.media import Treatment
from videomac.records.manifest import Manifest
from videomac.report.page import Table, image_data_uri, render
from videomac.storage.entries import split_url
from videomac.storage.storage import Storage
from videomac.text import duration_text

MODEL = Model()
"""Cells and mask ratio as in training by default."""
CELL = MODEL.cell
HIDDEN_SHADE = 0.25
"""Hidden cells keep this share of their brightness."""


def show_shards(config: ShowShards) -> str:
    """Print what the shards hold and write the contact sheet to `config.out`; return its path.

    Raises:
        StorageError: the shards cannot be read, or the page cannot be written.
        DataError: there is nothing to show.
    """
    manifest = load_manifest(config.manifest, config.storage_options)
    summary = summarise(manifest)
    for name, value in summary:
        print(f"{name:<20}{value}", flush=True)
    html = render(
        "shards.html.j2",
        name=config.manifest,
        summary=Table(("what", "value"), summary),
        shards=_shard_table(manifest),
        rows=_drawn_pairs(config, manifest),
        settings="\n".join(f"{key}: {value}" for key, value in manifest.settings.items()),
    )
    folder, name = split_url(config.out)
    Storage(folder, config.storage_options).write(name, html.encode())
    print(f"page: {config.out}", flush=True)
    return config.out


def summarise(manifest: Manifest) -> list[tuple[str, str]]:
    """Return lines of (what, value)."""
    rejected = ", ".join(f"{reason}: {count}" for reason, count in manifest.rejected.items())
    return [
        *((f"{split} samples", f"{count:,}") for split, count in manifest.samples.items()),
        ("shards", f"{len(manifest.shards):,}"),
        ("size", f"{sum(shard.bytes for shard in manifest.shards) / 2**20:,.1f} MiB"),
        ("video", duration_text(manifest.seconds)),
        ("frames", f"{manifest.frames:,}"),
        ("rejected", rejected or "none"),
        ("left out", ", ".join(f"{kind}: {count}" for kind, count in manifest.left_out.items()) or "none"),
        *((f"clips {Treatment(name).phrase}", f"{count:,}") for name, count in manifest.treated.items()),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())),
        ("digest", manifest.digest),
    ]


def _shard_table(manifest: Manifest, most: int = 50) -> Table:
    rows = [(s.name, s.samples, s.frames, s.seconds, s.bytes / 2**20) for s in manifest.shards[:most]]
    return Table(("shard", "samples", "frames", "seconds", "MiB"), rows, digits=(None, None, None, 1, 1))


def _drawn_pairs(config: ShowShards, manifest: Manifest) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (clip, [(picture, caption)]) of the first pairs of the plan, drawn with default settings."""
    split = "train" if manifest.samples.get("train") else "val"
    data = Data(manifest=config.manifest, storage_options=config.storage_options)
    plan = read_plan(data, config.seed, split)
    recipe = recipe_of(data, MODEL, config.seed)
    batches = iterate(plan, recipe, 0, config.pairs, data.pairs_per_open, isolated=True)
    return [shown for batch in batches for shown in _shown(batch, data.image_size[1] // CELL)]


def _shown(batch: Batch, columns: int) -> list[tuple[str, list[tuple[str, str]]]]:
    found = []
    for i, key in enumerate(batch.keys):
        if batch.g_b[i] < 0:
            continue
        code = Code(int(batch.code_b[i]))
        caption = f"row {int(batch.g_b[i])}" if code is Code.GOOD else f"row {int(batch.g_b[i])}: {code.reason}"
        frames = batch.frames_b2hwc[i].numpy()
        masked = [with_mask(frame, batch.cells_bk[i].numpy(), columns) for frame in frames]
        captions = (f"{caption}, frame 1", "frame 2", "visible of frame 1", "visible of frame 2")
        pictures = [image_data_uri(picture) for picture in (*frames, *masked)]
        found.append((key, list(zip(pictures, captions, strict=True))))
    return found


def with_mask(frame_hw3: np.ndarray, cells_k: np.ndarray, columns: int) -> np.ndarray:
    """Return the frame with its hidden cells darkened."""
    visible_n = np.zeros(frame_hw3.shape[0] // CELL * columns, bool)
    visible_n[cells_k] = True
    visible_hw = np.kron(visible_n.reshape(-1, columns), np.ones((CELL, CELL), bool)).astype(bool)
    return np.where(visible_hw[:, :, None], frame_hw3, frame_hw3 * HIDDEN_SHADE).astype(np.uint8)
