"""Readers of key points: JHMDB's layout, CSV or JSON files of people's own clips, and BADJA's files."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from videomac import config
from videomac.errors import EvaluationError
from videomac.propagation import mask_readers
from videomac.propagation.clips import PointClip
from videomac.propagation.frames import Frames, find_frames

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
"""The joints that BADJA annotates, by their place in its files (joint_catalog.py); the others are never visible."""
BADJA_EDGES = (
    (8, 9), (9, 10), (12, 13), (13, 14), (18, 19), (19, 20), (22, 23), (23, 24), (15, 8), (15, 12), (15, 25), (25, 18),
    (25, 22), (25, 28), (28, 31), (15, 32), (32, 33), (32, 35), (32, 36),
)  # fmt: skip
BADJA_SIZE = (1920, 1080)  # width and height that DAVIS key points refer to


def jhmdb_names(data: config.LabelledData) -> list[str]:
    """`ACTION/CLIP` of every test clip.

    `data.split` is `split1` (or `val`; 2, 3: `splits/ACTION_test_split1.txt`, clips marked 2), `sub1` (2, 3: the same
    below `sub_splits/`, sub-JHMDB), or a text file of lines `.../ACTION/CLIP/joint_positions.mat` or `ACTION/CLIP`.

    Raises:
        EvaluationError: no such lists, or no clip in them.
    """
    if Path(data.split).is_file():
        lines = Path(data.split).read_text(encoding="utf-8").split("\n")
        words = [line.split()[0].removesuffix("/joint_positions.mat").rstrip("/") for line in lines if line.strip()]
        names = ["/".join(word.split("/")[-2:]) for word in words]
    else:
        names = _test_clips(Path(data.root), "split1" if data.split == "val" else data.split)
    return mask_readers.chosen(data, names)


def jhmdb_clip(data: config.LabelledData, name: str) -> PointClip:
    """`joint_positions/NAME/joint_positions.mat` (`pos_img`, 2 x 15 x T from 1) with frames from `Rename_Images/NAME`
    or the video `ReCompress_Videos/NAME.avi`; where there are more frames than positions or fewer, the common ones.

    Raises:
        EvaluationError: a file is missing or of another form.
    """
    root = Path(data.root)
    path = root / "joint_positions" / name / "joint_positions.mat"
    xy_tj2 = _positions(path)
    if xy_tj2.shape[1] != len(JHMDB_JOINTS):
        raise EvaluationError(f"{path}: {xy_tj2.shape[1]} joints; JHMDB has {len(JHMDB_JOINTS)}: use task=keypoints")
    images, video = root / "Rename_Images" / name, root / "ReCompress_Videos" / f"{name}.avi"
    if not images.is_dir() and not video.is_file():
        raise EvaluationError(f"{path}: no frames for it: neither {images} nor {video}")
    frames = find_frames(images) if images.is_dir() else Frames((video,))
    count = min(len(frames.names), len(xy_tj2))
    present_tj = np.ones((count, len(JHMDB_JOINTS)), bool)
    return PointClip(name, frames, tuple(range(count)), xy_tj2[:count], present_tj, JHMDB_JOINTS, JHMDB_EDGES)


def own_names(data: config.LabelledData) -> list[str]:
    """Clips of the generic layout: files of `keypoints/` (CSV or JSON) or of BADJA's `joint_annotations/`."""
    badja = (Path(data.root) / "joint_annotations").is_dir()
    return mask_readers.own_names(data, "joint_annotations" if badja else "keypoints")


def own_clip(data: config.LabelledData, name: str) -> PointClip:
    """`keypoints/NAME.csv` or `.json` with `frames/NAME/` or `videos/NAME.mp4`; or BADJA's file with its frames.

    CSV: columns `frame` (number or file stem), `joint`, `x`, `y` in pixels from 0, and optionally `visible` (0, 1).
    JSON: `{"joints": [...], "skeleton": [[0, 1], ...], "frames": {"00000": [[x, y, visible], ...], ...}}`.

    Raises:
        EvaluationError: a file is missing, of another form, or names a frame that is not there.
    """
    root = Path(data.root)
    if (root / "joint_annotations").is_dir():
        return _badja_clip(data, root / "joint_annotations" / f"{name}.json", name)
    frames = mask_readers.own_frames(data, name)
    table, document = root / "keypoints" / f"{name}.csv", root / "keypoints" / f"{name}.json"
    if table.is_file():
        joints, edges, by_frame = (*_read_csv(table),)
        path = table
    elif document.is_file():
        joints, edges, by_frame = _read_json(document)
        path = document
    else:
        raise EvaluationError(f"{root / 'keypoints'}: neither {name}.csv nor {name}.json")
    return _assembled(name, frames, path, joints, edges, by_frame)


def _test_clips(root: Path, split: str) -> list[str]:
    folder = "sub_splits" if split.startswith("sub") else "splits"
    number = split.removeprefix("sub").removeprefix("split") or "1"
    files = sorted((root / folder).glob(f"[!.]*_test_split*{number}.txt"))
    if not files:
        raise EvaluationError(
            f"{root / folder}: no ACTION_test_split{number}.txt; data.split takes split1..3 or sub1..3 with JHMDB's "
            "own lists below data.root, or a text file with a line ACTION/CLIP for each clip"
        )
    names = []
    for file in files:
        action = file.name.partition("_test_split")[0]
        rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        names += [f"{action}/{row[0].removesuffix('.avi')}" for row in rows if len(row) > 1 and row[1] == "2"]
    return names


def _positions(path: Path) -> np.ndarray:
    try:
        positions = scipy.io.loadmat(path)["pos_img"]
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise EvaluationError(f"{path}: no readable joint_positions.mat with pos_img ({error!r})") from error
    if positions.ndim != 3 or positions.shape[0] != 2:
        raise EvaluationError(f"{path}: pos_img has shape {positions.shape}; expected 2 x joints x frames")
    return positions.transpose(2, 1, 0).astype(np.float64) - 1


_ByFrame = dict[str, list[tuple[float, float, bool]]]


def _read_csv(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...], _ByFrame]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"frame", "joint", "x", "y"} - set(reader.fieldnames or ())
        if missing:
            raise EvaluationError(
                f"{path}: lacks the column {', '.join(sorted(missing))}; expected frame,joint,x,y[,visible]"
            )
        rows = list(reader)
    joints = tuple(dict.fromkeys(row["joint"] for row in rows))
    by_frame: _ByFrame = {}
    for line, row in enumerate(rows, start=2):
        points = by_frame.setdefault(row["frame"], [(math.nan, math.nan, False)] * len(joints))
        try:
            visible = (row.get("visible") or "1").strip().lower() in ("1", "true", "2")
            points[joints.index(row["joint"])] = (float(row["x"] or "nan"), float(row["y"] or "nan"), visible)
        except ValueError as error:
            raise EvaluationError(
                f"{path}, line {line}: x and y are numbers, or empty where not annotated ({error})"
            ) from error
    return joints, (), by_frame


def _read_json(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...], _ByFrame]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        joints = tuple(str(joint) for joint in document["joints"])
        edges = tuple((int(a), int(b)) for a, b in document.get("skeleton", ()))
        by_frame = {str(frame): [_point(point) for point in points] for frame, points in document["frames"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{path}: not of the form {{joints: [...], frames: {{FRAME: [[x, y, visible], ...]}}}} ({error!r})"
        ) from error
    wrong = next((frame for frame, points in by_frame.items() if len(points) != len(joints)), None)
    if wrong is not None:
        raise EvaluationError(f"{path}: frame {wrong} has {len(by_frame[wrong])} points for {len(joints)} joints")
    return joints, edges, by_frame


def _point(point: Any) -> tuple[float, float, bool]:
    if point is None:
        return math.nan, math.nan, False
    return float(point[0]), float(point[1]), bool(point[2]) if len(point) > 2 else True


def _badja_clip(data: config.LabelledData, path: Path, name: str) -> PointClip:
    """BADJA: a list of annotated frames; joints are (row, column) at the size of the full-resolution frames."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        points = [np.asarray(entry["joints"], float)[:, ::-1] for entry in entries]
        visible = [np.asarray(entry["visibility"], bool) for entry in entries]
        stems = [Path(entry["image_path"]).stem for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: not a BADJA annotation (image_path, joints, visibility): {error!r}") from error
    frames, full = _badja_frames(data, entries[0]["image_path"], name)
    height, width = next(frames.read()).shape[:2]
    scale = np.array([1.0, 1.0]) if full else np.array([width, height]) / BADJA_SIZE
    by_frame = {
        stem: [(x, y, bool(v)) for (x, y), v in zip(xy * scale, seen, strict=True)]
        for stem, xy, seen in zip(stems, points, visible, strict=True)
    }
    joints = tuple(BADJA_JOINTS.get(j, f"joint_{j}") for j in range(len(points[0])))
    return _assembled(name, frames, path, joints, BADJA_EDGES, by_frame)


def _badja_frames(data: config.LabelledData, image_path: str, name: str) -> tuple[Frames, bool]:
    """The frames, and whether they are the full-resolution ones that the file names."""
    root = Path(data.root)
    if (root / image_path).is_file():
        return find_frames((root / image_path).parent), True
    for base in (root, root / "DAVIS", root.parent, root.parent / "davis"):
        if (base / "JPEGImages" / data.resolution / name).is_dir():
            return find_frames(base / "JPEGImages" / data.resolution / name), False
    return mask_readers.own_frames(data, name), False


def _assembled(
    name: str,
    frames: Frames,
    path: Path,
    joints: tuple[str, ...],
    edges: tuple[tuple[int, int], ...],
    by_frame: _ByFrame,
) -> PointClip:
    number_of = {stem: number for number, stem in enumerate(frames.names)}
    numbered = {}
    for frame, points in by_frame.items():
        stem = (
            frame
            if frame in number_of
            else next((s for s in number_of if s.isdigit() and frame.isdigit() and int(s) == int(frame)), None)
        )
        if stem is None:
            raise EvaluationError(
                f"{path}: no frame {frame!r} among the clip's {len(number_of)} ({frames.names[0]}, ...)"
            )
        numbered[number_of[stem]] = points
    if len(numbered) < 2:
        raise EvaluationError(f"{path}: {len(numbered)} annotated frame; one is given, at least one is scored")
    if len(joints) < 2:
        raise EvaluationError(f"{path}: {len(joints)} joint; the unit of PCK is the size of the box around several")
    numbers = tuple(sorted(numbered))
    xyv_tj3 = np.array([numbered[n] for n in numbers], float)
    present_tj = xyv_tj3[..., 2].astype(bool) & ~np.isnan(xyv_tj3[..., :2]).any(-1)
    return PointClip(name, frames, numbers, np.nan_to_num(xyv_tj3[..., :2]), present_tj, joints, edges)
