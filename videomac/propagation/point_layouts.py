"""Data sets with key points: JHMDB's layout, CSV or JSON files of people's own clips, and BADJA's files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from videomac import config
from videomac.errors import EvaluationError
from videomac.propagation import mask_layouts
from videomac.propagation.clips import PointClip
from videomac.propagation.frames import Frames, find_frames
from videomac.storage.text_files import read_local_text

JHMDB_JOINTS = (
    "neck", "belly", "face", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_elbow", "left_elbow",
    "right_knee", "left_knee", "right_wrist", "left_wrist", "right_ankle", "left_ankle",
)  # fmt: skip
JHMDB_EDGES = (
    (0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (3, 7), (4, 8), (5, 9), (6, 10), (7, 11),
    (8, 12), (9, 13), (10, 14),
)  # fmt: skip
BADJA_JOINTS = {
    8: "upper_right_1", 9: "upper_right_2", 10: "upper_right_3", 12: "upper_left_1", 13: "upper_left_2",
    14: "upper_left_3", 15: "neck_lower", 18: "lower_right_1", 19: "lower_right_2", 20: "lower_right_3",
    22: "lower_left_1", 23: "lower_left_2", 24: "lower_left_3", 25: "tail_0", 28: "tail_3", 31: "tail_6", 32: "jaw",
    33: "nose", 35: "right_ear", 36: "left_ear",
}  # fmt: skip
"""The joints that BADJA annotates, by their index in its files (joint_catalog.py); the others are never visible."""
BADJA_EDGES = (
    (8, 9), (9, 10), (12, 13), (13, 14), (18, 19), (19, 20), (22, 23), (23, 24), (15, 8), (15, 12), (15, 25), (25, 18),
    (25, 22), (25, 28), (28, 31), (15, 32), (32, 33), (32, 35), (32, 36),
)  # fmt: skip
UNREADABLE_MAT = (
    OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, zlib.error, scipy.io.matlab.MatReadError,
)  # fmt: skip
"""What scipy raises for bytes that are not a MAT file of version 7.2 or older with numbers; RuntimeError for 7.3."""
BADJA_SIZE = (1920, 1080)  # width and height of the frames that its key points refer to


def jhmdb_names(data: config.LabelledData) -> list[str]:
    """Return `ACTION/CLIP` of every test clip.

    `data.split` is one of: `split1` to `split3` (`val` means `split1`), the clips marked 2 in
    `splits/ACTION_test_split1.txt`; `sub1` to `sub3`, the same in `sub_splits/` (sub-JHMDB); or a text file with lines
    `.../ACTION/CLIP/joint_positions.mat` or `ACTION/CLIP`.

    Raises:
        EvaluationError: there are no such lists.
    """
    if Path(data.split).is_file():
        lines = mask_layouts.text_lines(Path(data.split))
        words = [line.split()[0].removesuffix("/joint_positions.mat").rstrip("/") for line in lines if line.strip()]
        names = ["/".join(word.split("/")[-2:]) for word in words]
    else:
        names = _test_clips(Path(data.root), "split1" if data.split == "val" else data.split)
    return mask_layouts.chosen(data, names)


def jhmdb_clip(data: config.LabelledData, name: str) -> PointClip:
    """Return a clip of JHMDB.

    Key points are `joint_positions/NAME/joint_positions.mat` (`pos_img`, 2 x 15 x T, counted from 1), frames
    `Rename_Images/NAME` or the video `ReCompress_Videos/NAME.avi`. If the numbers of frames and positions differ, the
    common ones are used.

    Raises:
        EvaluationError: a file is missing or has another form.
    """
    root = Path(data.root)
    path = root / "joint_positions" / name / "joint_positions.mat"
    xy_tj2 = _positions(path)
    if xy_tj2.shape[1] != len(JHMDB_JOINTS):
        raise EvaluationError(
            f"{path}: {xy_tj2.shape[1]} joints, but JHMDB has {len(JHMDB_JOINTS)}: use task=keypoints"
        )
    images, video = root / "Rename_Images" / name, root / "ReCompress_Videos" / f"{name}.avi"
    if not images.is_dir() and not video.is_file():
        raise EvaluationError(f"{path}: its frames are missing: neither {images} nor {video} exists")
    frames = find_frames(images, data.bounds) if images.is_dir() else Frames((video,), data.bounds)
    count = min(len(frames.names), len(xy_tj2))
    present_tj = np.ones((count, len(JHMDB_JOINTS)), bool)
    return PointClip(name, frames, tuple(range(count)), xy_tj2[:count], present_tj, JHMDB_JOINTS, JHMDB_EDGES)


def own_names(data: config.LabelledData) -> list[str]:
    """Return the clips of the generic layout: files in `keypoints/` (CSV, JSON) or in BADJA's `joint_annotations/`."""
    badja = (Path(data.root) / "joint_annotations").is_dir()
    return mask_layouts.own_names(data, "joint_annotations" if badja else "keypoints")


def own_clip(data: config.LabelledData, name: str) -> PointClip:
    """Return a clip of `keypoints/NAME.csv` or `.json` with `frames/NAME/` or `videos/NAME.mp4`; or one of BADJA.

    CSV: columns `frame` (number or file stem), `joint`, `x`, `y` in pixels from 0, and optionally `visible` (0, 1).
    JSON: `{"joints": [...], "skeleton": [[0, 1], ...], "frames": {"00000": [[x, y, visible], ...], ...}}`.

    Raises:
        EvaluationError: a file is missing, has another form, or names a frame that does not exist.
    """
    root = Path(data.root)
    if (root / "joint_annotations").is_dir():
        return _badja_clip(data, root / "joint_annotations" / f"{name}.json", name)
    frames = mask_layouts.own_frames(data, name)
    table, document = root / "keypoints" / f"{name}.csv", root / "keypoints" / f"{name}.json"
    if table.is_file():
        return _assembled(name, frames, table, _read_csv(table))
    if document.is_file():
        return _assembled(name, frames, document, _read_json(document))
    raise EvaluationError(f"{root / 'keypoints'}: neither {name}.csv nor {name}.json exists")


def _test_clips(root: Path, split: str) -> list[str]:
    folder = "sub_splits" if split.startswith("sub") else "splits"
    index = split.removeprefix("sub").removeprefix("split") or "1"
    files = sorted((root / folder).glob(f"[!.]*_test_split*{index}.txt"))
    if not files:
        raise EvaluationError(
            f"{root / folder}: ACTION_test_split{index}.txt not found; data.split is split1..3 or sub1..3 with JHMDB's "
            "own lists below data.root, or a text file with a line ACTION/CLIP for each clip"
        )
    names = []
    for file in files:
        action = file.name.partition("_test_split")[0]
        lines = [line.split() for line in mask_layouts.text_lines(file) if line.strip()]
        names += [f"{action}/{words[0].removesuffix('.avi')}" for words in lines if words[1:2] == ["2"]]
    return names


def _positions(path: Path) -> np.ndarray:
    try:
        positions = scipy.io.loadmat(path)["pos_img"]
        points_tj2 = positions.transpose().astype(np.float64) - 1
    except UNREADABLE_MAT as error:
        raise EvaluationError(f"{path}: not a readable joint_positions.mat with pos_img ({error!r})") from error
    if positions.ndim != 3 or positions.shape[0] != 2:
        raise EvaluationError(f"{path}: pos_img has shape {positions.shape}; expected 2 x joints x frames")
    if not np.isfinite(points_tj2).all():
        t, j, _ = np.argwhere(~np.isfinite(points_tj2))[0]
        raise EvaluationError(
            f"{path}: pos_img of joint {j + 1} in frame {t + 1} is {positions[:, j, t].tolist()}; expected numbers"
        )
    return points_tj2


Point = tuple[float, float, bool]
"""x, y and whether the joint is visible; NaN where it is not annotated."""


@dataclasses.dataclass(frozen=True)
class _Annotation:
    """What a file of key points says."""

    joints: tuple[str, ...]
    points: dict[str, list[Point]]
    """By frame (its number or the stem of its file), one per joint."""
    edges: tuple[tuple[int, int], ...] = ()


def _read_csv(path: Path) -> _Annotation:
    table = csv.DictReader(io.StringIO(read_local_text(path, EvaluationError)))
    missing = {"frame", "joint", "x", "y"} - set(table.fieldnames or ())
    if missing:
        raise EvaluationError(f"{path}: has no column {', '.join(sorted(missing))}; expected frame,joint,x,y[,visible]")
    lines = list(table)
    joints = tuple(dict.fromkeys(row["joint"] for row in lines))
    by_frame: dict[str, list[Point]] = {}
    for line, row in enumerate(lines, start=2):
        points = by_frame.setdefault(row["frame"], [(math.nan, math.nan, False)] * len(joints))
        try:
            visible = (row.get("visible") or "1").strip().lower() in ("1", "true", "2")
            points[joints.index(row["joint"])] = (_number(row["x"] or "nan"), _number(row["y"] or "nan"), visible)
        except ValueError as error:
            raise EvaluationError(
                f"{path}, line {line}: x and y must be numbers, or empty where the joint is not annotated ({error})"
            ) from error
    return _Annotation(joints, by_frame)


def _read_json(path: Path) -> _Annotation:
    text = read_local_text(path, EvaluationError)
    try:
        document = json.loads(text)
        joints = tuple(str(joint) for joint in document["joints"])
        edges = tuple((int(a), int(b)) for a, b in document.get("skeleton", ()))
        by_frame = {str(frame): _points(path, frame, points) for frame, points in document["frames"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EvaluationError(
            f"{path}: expected {{joints: [...], frames: {{FRAME: [[x, y, visible], ...]}}}} ({error!r})"
        ) from error
    edge = next((edge for edge in edges if not all(0 <= joint < len(joints) for joint in edge)), None)
    if edge is not None:
        raise EvaluationError(f"{path}: skeleton joins {edge}, but there are {len(joints)} joints, counted from 0")
    wrong = next((frame for frame, points in by_frame.items() if len(points) != len(joints)), None)
    if wrong is not None:
        raise EvaluationError(
            f"{path}: frame {wrong} has {len(by_frame[wrong])} points, but there are {len(joints)} joints"
        )
    return _Annotation(joints, by_frame, edges)


def _points(path: Path, frame: str, points: list[Any]) -> list[Point]:
    found = []
    for place, point in enumerate(points):
        try:
            found.append(_point(point))
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise EvaluationError(
                f"{path}: frame {frame}, point {place} is {json.dumps(point)[:80]}; "
                "expected [x, y], [x, y, visible] or null"
            ) from error
    return found


def _point(point: Any) -> Point:
    if point is None:
        return math.nan, math.nan, False
    x, y, visible = (*point, True) if len(point) == 2 else point
    if isinstance(x, bool | str) or isinstance(y, bool | str) or visible not in (0, 1, 2):
        raise TypeError("not a point")
    return _number(math.nan if x is None else x), _number(math.nan if y is None else y), bool(visible)


def _number(value: str | int | float) -> float:
    number = float(value)
    if math.isinf(number):
        raise ValueError(f"{value} is infinite")
    return number


def _badja_clip(data: config.LabelledData, path: Path, name: str) -> PointClip:
    """Return a clip of BADJA: a list of annotated frames, joints as (y, x) in pixels of the full-resolution frames."""
    try:
        entries = json.loads(read_local_text(path, EvaluationError))
        points = [np.asarray(entry["joints"], float)[:, ::-1] for entry in entries]
        visible = [np.asarray(entry["visibility"], bool) for entry in entries]
        stems = [Path(entry["image_path"]).stem for entry in entries]
        first = str(entries[0]["image_path"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise EvaluationError(f"{path}: not a BADJA annotation (image_path, joints, visibility): {error!r}") from error
    frames, full = _badja_frames(data, first, name)
    height, width = next(frames.read()).shape[:2]
    scale = np.array([1.0, 1.0]) if full else np.array([width, height]) / BADJA_SIZE
    by_frame = {
        stem: [(x, y, bool(v)) for (x, y), v in zip(xy * scale, seen, strict=True)]
        for stem, xy, seen in zip(stems, points, visible, strict=True)
    }
    joints = tuple(BADJA_JOINTS.get(j, f"joint_{j}") for j in range(len(points[0])))
    return _assembled(name, frames, path, _Annotation(joints, by_frame, BADJA_EDGES))


def _badja_frames(data: config.LabelledData, image_path: str, name: str) -> tuple[Frames, bool]:
    """Return the frames, and whether they are the full-resolution ones that the file names."""
    root = Path(data.root)
    if (root / image_path).is_file():
        return find_frames((root / image_path).parent, data.bounds), True
    for base in (root, root / "DAVIS", root.parent, root.parent / "davis"):
        if (base / "JPEGImages" / data.resolution / name).is_dir():
            return find_frames(base / "JPEGImages" / data.resolution / name, data.bounds), False
    return mask_layouts.own_frames(data, name), False


def _assembled(name: str, frames: Frames, path: Path, annotation: _Annotation) -> PointClip:
    points = {_frame(stem, frames, path): of_frame for stem, of_frame in annotation.points.items()}
    if len(points) < 2:
        raise EvaluationError(
            f"{path}: {len(points)} annotated frame; the first one is given and the others are scored: annotate two"
        )
    if len(annotation.joints) < 2:
        raise EvaluationError(
            f"{path}: {len(annotation.joints)} joint; PCK measures in sizes of the box around several: annotate two"
        )
    annotated = tuple(sorted(points))
    xyv_tj3 = np.array([points[t] for t in annotated], float)
    present_tj = xyv_tj3[..., 2].astype(bool) & ~np.isnan(xyv_tj3[..., :2]).any(-1)
    xy_tj2 = np.nan_to_num(xyv_tj3[..., :2])
    return PointClip(name, frames, annotated, xy_tj2, present_tj, annotation.joints, annotation.edges)


def _frame(named: str, frames: Frames, path: Path) -> int:
    """Return the frame that an annotation names by its stem, or by its number."""
    if named in frames.names:
        return frames.names.index(named)
    same = (t for t, stem in enumerate(frames.names) if stem.isdigit() and named.isdigit() and int(stem) == int(named))
    found = next(same, None)
    if found is None:
        raise EvaluationError(
            f"{path}: frame {named!r} is not one of the clip's {len(frames.names)} frames ({frames.names[0]}, ...)"
        )
    return found
