"""Our propagation against transcriptions of the published algorithms, which keep their own chunking.

    python benchmarks/propagation.py [--quick]

Same features, same process, same threads, 480p at stride 8 (60 x 107 sites), CPU, float32: `crw` (context 20 and
frame 0, chunks of 100 queries, `topk` over keys) and `dino` (context 7, whole affinities in memory). Timed is one
frame with a full context. The label maps of both are compared in float32 on the timed frame, and in float64 on a
smaller grid. Without `--quick` also: pixels and scores of both in float32 on a real clip, and the peak memory of
a process that reads and scores a clip of 480p at stride 4. The last line is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rows import Row, finish
from torch import Tensor

from tests.reference import propagation as published
from videomac import config
from videomac.facts.presets import PRESETS
from videomac.facts.shipped import expand
from videomac.propagation import labels, metrics, tasks
from videomac.propagation.clips import MaskClip
from videomac.propagation.extractors import extract
from videomac.propagation.load import load_extractor
from videomac.propagation.masks import read_ids
from videomac.propagation.propagate import propagate

AT_LEAST = 5.0
GRID = (60, 107)
SCORED_FRAMES = 7
CHANNELS = {"convnextv2_atto stage 1": 80, "convnextv2_tiny stage 1": 192}


def main() -> int:
    """Print the table and the line of JSON; return 1 if a ratio is below its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one width, under a minute")
    options = parser.parse_args()
    widths = dict(list(CHANNELS.items())[:1]) if options.quick else CHANNELS
    rows = [_timed(name, network, channels) for network, channels in widths.items() for name in ("crw", "dino")]
    rows += [_exact(name) for name in ("crw", "dino")]
    if not options.quick:
        rows += [*(_same_scores(name) for name in ("crw", "dino")), _memory()]
    return finish("propagation", rows)


def features_like_a_video(frames: int, channels: int, grid: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return smooth features that drift from frame to frame, L2-normalised (frames, channels, h, w)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, channels, grid[0] // 4 + 2, grid[1] // 4 + 2, generator=generator, dtype=dtype)
    scene = F.interpolate(coarse, size=(grid[0] + frames, grid[1] + frames), mode="bicubic")[0]
    moved = torch.stack([scene[:, t : t + grid[0], t : t + grid[1]] for t in range(frames)])
    return F.normalize(moved + 0.3 * torch.randn(moved.shape, generator=generator, dtype=dtype), dim=1)


def _labels(grid: tuple[int, int], dtype: torch.dtype) -> Tensor:
    ids = torch.zeros(grid, dtype=torch.int64)
    ids[grid[0] // 4 : grid[0] // 2, grid[1] // 4 : grid[1] // 2] = 1
    ids[grid[0] // 2 :, grid[1] // 2 :] = 2
    return F.one_hot(ids, 3).permute(2, 0, 1).to(dtype)


def _timed(name: str, network: str, channels: int) -> Row:
    """Time the last frame of a clip whose context is full; both get the same features and labels."""
    preset = PRESETS[name]
    frames = preset.context + 2
    features, first = features_like_a_video(frames, channels, GRID, torch.float32), _labels(GRID, torch.float32)
    soft, ours_s = _last_frame(lambda: propagate(features, first, preset))
    context = [first, *list(soft[:-1])]
    expected, theirs_s = _published_last_frame(name, features, context)
    same = (soft[-1].argmax(0) == expected.argmax(0)).float().mean().item()
    facts = {"ours_s": round(ours_s, 3), "theirs_s": round(theirs_s, 3), "same_pixels": round(same, 6)}
    return Row(
        f"{name}, 480p, stride 8, {network}",
        theirs_s / ours_s,
        "transcription with the published chunking",
        AT_LEAST,
        facts | {"threads": torch.get_num_threads()},
        right=same >= 0.9999,
    )


def _last_frame(run: Callable[[], Any]) -> tuple[list[Tensor], float]:
    found, times, stream = [], [time.perf_counter()], run()
    for soft in stream:
        found.append(soft)
        times.append(time.perf_counter())
    return found, times[-1] - times[-2]


def _published_last_frame(name: str, features: Tensor, labels: list[Tensor]) -> tuple[Tensor, float]:
    """Compute the last frame by the published algorithm, given the labels of all earlier ones."""
    step = {"crw": published.crw_step, "dino": published.dino_step}[name]
    published.window(name, *GRID)  # the published code makes it once per clip
    begin = time.perf_counter()
    soft = step(features, labels)
    return soft, time.perf_counter() - begin


def _exact(name: str) -> Row:
    grid, settings = (16, 30), {"crw": {"n": 6, "radius": 7, "k": 10}, "dino": {"n": 4, "radius": 6, "k": 5}}[name]
    features, first = features_like_a_video(10, 32, grid, torch.float64), _labels(grid, torch.float64)
    preset = dataclasses.replace(PRESETS[name], context=settings["n"], radius=settings["radius"], topk=settings["k"])
    got = torch.stack(list(propagate(features, first, preset)))
    expected = torch.stack(getattr(published, name)(features, first, **settings))
    different = int((got.argmax(1) != expected.argmax(1)).sum())
    return Row(
        f"{name}, float64, label maps",
        1.0 - different / got[:, 0].numel(),
        "transcription",
        1.0,
        {"largest_difference": float((got - expected).abs().max())},
    )


def _same_scores(name: str) -> Row:
    """Compare pixels and J&F of both in float32, on a network's features of the shipped `dog` at 240p."""
    clip = tasks.read_clip("davis", config.LabelledData(root="samples://davis", resolution="240p"), "dog")
    assert isinstance(clip, MaskClip)
    extractor = load_extractor(config.Candidate(label="x", source="random", model="convnextv2_atto"), stage=1)
    preset, truth = PRESETS[name], [read_ids(clip.masks[t], are_classes=False) for t in range(SCORED_FRAMES)]
    size = truth[0].shape
    found = torch.stack(list(itertools.islice(extract(extractor, clip.frames.read()), SCORED_FRAMES)))
    first = labels.down(truth[0], 2, extractor.grid(size), preset).float()
    ways = [list(propagate(found, first, preset)), getattr(published, name)(found, first)]
    maps = [np.stack([labels.up(soft, size, size, extractor.stride, preset) for soft in way]) for way in ways]
    ours, theirs = (metrics.davis_clip(np.stack(truth[1:-1]), ids[:-1], [1]) for ids in maps)
    apart = abs(float(np.mean([ours[m].mean() - theirs[m].mean() for m in "JF"])))
    same = float((maps[0] == maps[1]).mean())
    return Row(
        f"{name}, float32, dog at 240p: share of equal pixels",
        same,
        "transcription",
        0.9999,
        {"j_and_f_apart": apart},
        right=apart <= 1e-4,
    )


def _memory() -> Row:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        peak_gb = alone.submit(_peak_gb).result()
    return Row(
        "crw, 480p, stride 4, convnextv2_tiny, a clip from files to scores: peak GB of its process",
        6 / peak_gb,
        "6 GB",
        1.0,
        {"peak_gb": round(peak_gb, 2)},
    )


def _peak_gb() -> float:
    """Score the shipped `dog` at 854 x 480 until its context is full; return the largest resident size."""
    with tempfile.TemporaryDirectory() as folder:
        data = _enlarged(Path(folder), frames=PRESETS["crw"].context + 2)
        extractor = load_extractor(config.Candidate(label="x", source="random", model="convnextv2_tiny"), stage=0)
        assert extractor.stride == 4
        tasks.score_clip(tasks.read_clip("davis", data, "dog"), extractor, PRESETS["crw"], "davis")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _enlarged(root: Path, frames: int) -> config.LabelledData:
    shipped = Path(expand("samples://davis"))
    for kind, method in (("JPEGImages", Image.Resampling.BICUBIC), ("Annotations", Image.Resampling.NEAREST)):
        folder = root / kind / "480p" / "dog"
        folder.mkdir(parents=True)
        for path in sorted((shipped / kind / "240p" / "dog").iterdir())[:frames]:
            Image.open(path).resize((854, 480), method).save(folder / path.name)
    return config.LabelledData(root=str(root))


if __name__ == "__main__":
    sys.exit(main())
