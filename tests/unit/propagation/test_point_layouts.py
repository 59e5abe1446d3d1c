"""Data sets with key points, read and scored; what is missing is named with what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.io

from tests.unit.propagation.scoring import data, score
from videomac.errors import EvaluationError
from videomac.propagation import tasks


def jhmdb(root, place, frames=5, joints=15):
    place(root / "Rename_Images/walk/clip_a", frames, suffix=".png")
    folder = root / "joint_positions/walk/clip_a"
    folder.mkdir(parents=True)
    xy = np.random.default_rng(0).uniform(20, 50, (2, joints, 1)) + np.zeros((1, 1, frames))
    scipy.io.savemat(folder / "joint_positions.mat", {"pos_img": xy})
    (root / "splits").mkdir()
    (root / "splits/walk_test_split1.txt").write_text("clip_a.avi 2\nclip_b.avi 1\n")
    return xy


def test_jhmdb(tmp_path, place):
    xy = jhmdb(tmp_path, place)
    section = data(tmp_path, split="split1")
    assert tasks.clip_names("jhmdb", section) == ["walk/clip_a"]
    assert tasks.clip_names("jhmdb", data(tmp_path)) == ["walk/clip_a"], (
        "JHMDB's validation set is its first test split"
    )
    clip = tasks.read_clip("jhmdb", section, "walk/clip_a")
    assert clip.xy_tj2[0] == pytest.approx(xy[:, :, 0].T - 1), "positions in the file count from 1"
    result = score("jhmdb", section, "walk/clip_a")
    assert len(result.parts.distances) == 15
    assert all(len(d) == 4 for d in result.parts.distances.values()), "the given frame is not scored"
    assert result.prediction.shape == (5, 15, 2)
    # Frame 0 reads back within a cell of 8 px at 320 px, here 96 px wide and 54 high.
    assert np.abs(result.prediction[0] - clip.xy_tj2[0]).max() < 8 * 96 / 320


def test_jhmdb_with_another_number_of_joints(tmp_path, place):
    jhmdb(tmp_path, place, joints=13)
    with pytest.raises(EvaluationError, match="13 joints, but JHMDB has 15: use task=keypoints"):
        tasks.read_clip("jhmdb", data(tmp_path, split="split1"), "walk/clip_a")


def test_jhmdb_split_as_the_published_list(tmp_path):
    (tmp_path / "list.txt").write_text(
        "datasets/jhmdb/joint_positions/walk/clip_a/joint_positions.mat datasets/jhmdb/Rename_Images/walk/clip_a\n"
    )
    assert tasks.clip_names("jhmdb", data(tmp_path, split=str(tmp_path / "list.txt"))) == ["walk/clip_a"]


POINTS = {"nose": (40.0, 20.0), "tail": (60.0, 30.0)}


def write_csv(path):
    path.parent.mkdir(parents=True)
    rows = [f"{frame},{joint},{x},{y},1" for frame in (1, 3) for joint, (x, y) in POINTS.items()]
    path.write_text("\n".join(["frame,joint,x,y,visible", *rows, "4,nose,,,0", "4,tail,61,30,1"]))


def write_json(path):
    path.parent.mkdir(parents=True)
    points = [[x, y, 1] for x, y in POINTS.values()]
    frames = {"00001": points, "00003": points, "00004": [None, [61, 30]]}
    path.write_text(json.dumps({"joints": list(POINTS), "skeleton": [[0, 1]], "frames": frames}))


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_own_key_points(tmp_path, place, suffix):
    place(tmp_path / "frames/mine", 5)
    {"csv": write_csv, "json": write_json}[suffix](tmp_path / f"keypoints/mine.{suffix}")
    section = data(tmp_path, split="all")
    assert tasks.clip_names("keypoints", section) == ["mine"]
    clip = tasks.read_clip("keypoints", section, "mine")
    assert clip.annotated == (1, 3, 4)
    assert clip.joints == ("nose", "tail")
    assert clip.present_tj.tolist() == [[True, True], [True, True], [False, True]]
    assert clip.xy_tj2[0].tolist() == [[40, 20], [60, 30]]
    result = score("keypoints", section, "mine", "jhmdb")
    assert len(result.parts.distances["tail"]) == 2
    assert len(result.parts.distances["nose"]) == 1, "not annotated in frame 4"


def test_key_points_without_a_column(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,x,y\n0,1,2\n")
    with pytest.raises(EvaluationError, match="has no column joint"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


def test_one_joint_has_no_unit_of_length(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,joint,x,y\n0,nose,1,2\n1,nose,1,2\n")
    with pytest.raises(EvaluationError, match="1 joint; PCK measures in sizes of the box around several"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


@pytest.mark.needs_shared
def test_badja(shared):
    section = data(shared / "badja", split="all")
    clip = tasks.read_clip("keypoints", section, "dog")
    entries = json.loads((shared / "badja/joint_annotations/dog.json").read_text())
    row, column = entries[0]["joints"][8]
    assert clip.xy_tj2[0, 8] == pytest.approx([column * 854 / 1920, row * 480 / 1080])
    assert clip.start == 3
    assert clip.present_tj[0].tolist() == entries[0]["visibility"]
    used = {joint for j, joint in enumerate(clip.joints) if clip.present_tj[:, j].any()}
    assert not any(joint.startswith("joint_") for joint in used), "every annotated joint has its name"
    assert len(used) == 20


@pytest.mark.needs_shared
def test_jhmdb_format_sample(shared, tmp_path):
    folder = tmp_path / "joint_positions/catch/sample"
    folder.mkdir(parents=True)
    (folder / "joint_positions.mat").write_bytes((shared / "formats/jhmdb/joint_positions.mat").read_bytes())
    video = tmp_path / "ReCompress_Videos/catch/sample.avi"
    video.parent.mkdir(parents=True)
    video.write_bytes(next((shared / "formats/jhmdb").glob("*.avi")).read_bytes())
    clip = tasks.read_clip("jhmdb", data(tmp_path), "catch/sample")
    assert clip.xy_tj2.shape[1:] == (15, 2)
    assert len(clip.frames.names) >= len(clip.annotated) > 1
    result = score("jhmdb", data(tmp_path), "catch/sample", short_side=96)
    assert 0 < result.scores["PCK@0.5"] <= 1
    assert len(result.parts.distances) == 15


@pytest.mark.parametrize("named", ["1", "00001"])
def test_a_frame_is_named_by_its_number_or_its_stem(tmp_path, place, named):
    place(tmp_path / "frames/mine", 3)
    (tmp_path / "keypoints").mkdir()
    lines = [f"{named},nose,1,2", f"{named},tail,3,4", "2,nose,1,2", "2,tail,3,4"]
    (tmp_path / "keypoints/mine.csv").write_text("\n".join(["frame,joint,x,y", *lines]))
    assert tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine").annotated == (1, 2)


def test_a_frame_that_does_not_exist_is_named(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,joint,x,y\n0,nose,1,2\n7,nose,1,2\n")
    with pytest.raises(EvaluationError, match=r"mine\.csv: frame '7' is not one of the clip's 2 frames"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ([1], r"frame 00003, point 1 is \[1\]; expected \[x, y\]"),
        ([1, 1e999], r"point 1 is \[1, Infinity\]"),
        (["1", 2], r"point 1 is \[\"1\", 2\]"),
        ([1, 2, "yes"], "point 1 is "),
        (7, "point 1 is 7"),
    ],
)
def test_an_odd_point_in_a_json_is_named_with_its_place(tmp_path, place, point, message):
    place(tmp_path / "frames/mine", 5)
    write_json(tmp_path / "keypoints/mine.json")
    document = json.loads((tmp_path / "keypoints/mine.json").read_text())
    document["frames"]["00003"][1] = point
    (tmp_path / "keypoints/mine.json").write_text(json.dumps(document))
    with pytest.raises(EvaluationError, match=message):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


def test_a_skeleton_of_joints_that_do_not_exist(tmp_path, place):
    place(tmp_path / "frames/mine", 5)
    write_json(tmp_path / "keypoints/mine.json")
    path = tmp_path / "keypoints/mine.json"
    path.write_text(path.read_text().replace("[[0, 1]]", "[[0, 2]]"))
    with pytest.raises(EvaluationError, match=r"skeleton joins \(0, 2\), but there are 2 joints"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_key_points_in_other_encodings(tmp_path, place, suffix, encoding):
    place(tmp_path / "frames/mine", 5)
    path = tmp_path / f"keypoints/mine.{suffix}"
    {"csv": write_csv, "json": write_json}[suffix](path)
    path.write_bytes(path.read_text().replace("tail", "t\u00eate").encode(encoding))
    assert tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine").joints == ("nose", "t\u00eate")


def test_an_infinite_number_in_a_csv_is_named_with_its_line(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,joint,x,y\n0,nose,1,2\n1,nose,inf,2\n")
    with pytest.raises(EvaluationError, match=r"mine\.csv, line 3: x and y must be numbers.*inf is infinite"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


@pytest.mark.parametrize("content", [b"", b"<html>", bytes(2000)])
def test_a_mat_file_that_is_none_is_named(tmp_path, place, content):
    place(tmp_path / "Rename_Images/wave/one", 2)
    path = tmp_path / "joint_positions/wave/one/joint_positions.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"joint_positions\.mat: not a readable"):
        tasks.read_clip("jhmdb", data(tmp_path), "wave/one")


def test_a_position_that_is_no_number_is_named(tmp_path, place):
    place(tmp_path / "Rename_Images/wave/one", 2)
    path = tmp_path / "joint_positions/wave/one/joint_positions.mat"
    path.parent.mkdir(parents=True)
    positions = np.ones((2, 15, 2))
    positions[0, 3, 1] = np.nan
    scipy.io.savemat(path, {"pos_img": positions})
    with pytest.raises(EvaluationError, match=r"pos_img of joint 4 in frame 2 is \[nan, 1\.0\]; expected numbers"):
        tasks.read_clip("jhmdb", data(tmp_path), "wave/one")


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", '[{"image_path": "a.jpg"}]'])
def test_a_file_of_badja_without_annotations_is_named(tmp_path, content):
    (tmp_path / "joint_annotations").mkdir()
    (tmp_path / "joint_annotations/dog.json").write_text(content)
    with pytest.raises(EvaluationError, match=r"dog\.json: not a BADJA annotation"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "dog")
