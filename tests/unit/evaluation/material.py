"""A small data set and evaluations of it, for tests of every part."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from videomac import config
from videomac.evaluation.scoring import Answer, score
from videomac.evaluation.setup import Evaluation, Job, prepare
from videomac.propagation.load import load_extractor

RAW = [{"label": "colour", "source": "raw_colour"}, {"label": "patches", "source": "raw_patch"}]


def write_davis(root: Path, samples: Path, frames: dict[str, int] | None = None) -> Path:
    """Write the first frames of the shipped sequences at 120 x 68; `frames` says how many of each."""
    frames = frames or {"dog": 6, "blackswan": 6}
    for name, count in frames.items():
        for kind, suffix, resample in (("JPEGImages", "jpg", 2), ("Annotations", "png", 0)):
            folder = root / kind / "480p" / name
            folder.mkdir(parents=True)
            for path in sorted((samples / kind / "240p" / name).glob(f"*.{suffix}"))[:count]:
                Image.open(path).resize((120, 68), resample).save(folder / path.name)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("\n".join(frames))
    return root


def write_points(root: Path, samples: Path) -> Path:
    """Write a clip with two key points in three of its six frames."""
    (root / "frames/dog").mkdir(parents=True)
    for path in sorted((samples / "JPEGImages/240p/dog").glob("*.jpg"))[:6]:
        Image.open(path).resize((96, 54)).save(root / "frames/dog" / path.name)
    (root / "keypoints").mkdir()
    rows = [f"{t},{joint},{x},{y}" for t in (1, 3, 5) for joint, x, y in (("nose", 40, 20), ("tail", 60, 30))]
    (root / "keypoints/dog.csv").write_text("\n".join(["frame,joint,x,y", *rows]))
    return root


def settings(root: Path, out: Path, **keys: object) -> config.Evaluate:
    tree = {"data": {"root": str(root)}, "out": str(out), "features": RAW, **keys}
    return config.validate(config.Evaluate, tree, "test")


def prepared(root: Path, out: Path, **keys: object) -> Evaluation:
    return prepare(settings(root, out, **keys))


def answer(evaluation: Evaluation, job: Job, with_components: bool = False) -> Answer:
    extractor = load_extractor(job.candidate.source, job.candidate.stage, job.seed)
    return score(job, extractor, evaluation.preset, "cpu", with_components)
