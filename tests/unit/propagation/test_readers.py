"""Each data set's own folder layout, read and scored; what is missing is named with what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.io
from PIL import Image

from videomac import config
from videomac.errors import EvaluationError
from videomac.facts import presets
from videomac.propagation import tasks
from videomac.propagation.load import load_extractor

RAW = config.Candidate(label="raw", source="raw_colour")


def data(root, **keys):
    return config.LabelledData(root=str(root), **keys)


def score(task, section, name, preset=None):
    clip = tasks.read_clip(task, section, name)
    return tasks.score_clip(clip, load_extractor(RAW, 1), presets.resolve(preset, task, {}), task)


def test_davis(small_davis):
    section = data(small_davis)
    assert tasks.clip_names("davis", section) == ["dog"]
    clip = tasks.read_clip("davis", section, "dog")
    assert clip.scored == (1, 2, 3), "first and last frame are left out"
    result = score("davis", section, "dog")
    assert result.prediction.shape == (5, 54, 96)
    assert list(result.parts["objects"]) == ["dog_1"]
    assert 0 < result.scores["J&F-Mean"] <= 1


def test_davis_annotation_missing_for_a_frame(small_davis):
    (small_davis / "Annotations/480p/dog/00002.png").unlink()
    with pytest.raises(EvaluationError, match=r"00002\.png: annotation missing \(1 of 5 frames.*task=masks"):
        tasks.read_clip("davis", data(small_davis), "dog")


def test_davis_without_its_list(tmp_path):
    with pytest.raises(
        EvaluationError, match=r"no list of the DAVIS split 'val': looked for .*ImageSets/2017/val\.txt"
    ):
        tasks.clip_names("davis", data(tmp_path))


def test_unknown_clip_is_named(small_davis):
    with pytest.raises(EvaluationError, match=r"no clip 'cat' .*there are dog"):
        tasks.clip_names("davis", data(small_davis, clips=("cat",)))


def test_split_as_a_text_file_of_paths(small_davis, tmp_path):
    (tmp_path / "list.txt").write_text("datasets/JPEGImages/480p/dog datasets/Annotations/480p/dog\n")
    assert tasks.clip_names("davis", data(small_davis, split=str(tmp_path / "list.txt"))) == ["dog"]


def test_colour_annotation_is_refused(small_davis):
    path = small_davis / "Annotations/480p/dog/00000.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(EvaluationError, match="mode RGB; labels are indexed or grey PNGs"):
        score("davis", data(small_davis), "dog")


def test_frames_and_masks_of_other_sizes(small_davis):
    path = small_davis / "Annotations/480p/dog/00000.png"
    Image.open(path).resize((48, 27)).save(path)
    with pytest.raises(EvaluationError, match="frames are 96x54, annotations 48x27"):
        score("davis", data(small_davis), "dog")


def test_a_later_annotation_of_another_size(small_davis):
    path = small_davis / "Annotations/480p/dog/00002.png"
    Image.open(path).resize((48, 27)).save(path)
    with pytest.raises(EvaluationError, match=r"00002\.png: 48x27, the clip's first annotation 96x54"):
        score("davis", data(small_davis), "dog")


def test_vip(tmp_path, place):
    place(tmp_path / "Images/videos7", 5, tmp_path / "Annotations/Category_ids/videos7", (1, 3))
    section = data(tmp_path)
    assert tasks.clip_names("vip", section) == ["videos7"]
    clip = tasks.read_clip("vip", section, "videos7")
    assert clip.start == 1, "labels start from the first annotated frame"
    assert clip.scored == (1, 3), "all annotated frames are scored, the given one too"
    result = score("vip", section, "videos7")
    counts = np.array(result.parts["confusion"])
    assert counts.sum() == 2 * 54 * 96
    assert counts.shape == (20, 20)
    assert result.prediction.shape == (4, 54, 96), "frames 1..4 at the annotations' size"
    given = np.array(Image.open(tmp_path / "Annotations/Category_ids/videos7/00001.png"))
    assert 0.5 < np.mean(result.prediction[0] == given) < 1, "the given frame comes back from the feature grid"


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
    assert len(result.parts["distances"]) == 15
    assert all(len(d) == 4 for d in result.parts["distances"].values()), "the given frame is not scored"
    assert result.prediction.shape == (5, 15, 2)
    # Frame 0 reads back within a cell of 8 px at 320 px, here 96 px wide and 54 high.
    assert np.abs(result.prediction[0] - clip.xy_tj2[0]).max() < 8 * 96 / 320


def test_jhmdb_with_another_number_of_joints(tmp_path, place):
    jhmdb(tmp_path, place, joints=13)
    with pytest.raises(EvaluationError, match="13 joints; JHMDB has 15: use task=keypoints"):
        tasks.read_clip("jhmdb", data(tmp_path, split="split1"), "walk/clip_a")


def test_jhmdb_split_as_the_published_list(tmp_path):
    (tmp_path / "list.txt").write_text(
        "datasets/jhmdb/joint_positions/walk/clip_a/joint_positions.mat datasets/jhmdb/Rename_Images/walk/clip_a\n"
    )
    assert tasks.clip_names("jhmdb", data(tmp_path, split=str(tmp_path / "list.txt"))) == ["walk/clip_a"]


@pytest.mark.parametrize("video", [False, True], ids=["folder", "video"])
def test_own_masks(tmp_path, place, dog, write_video, video):
    if video:
        write_video(tmp_path / "videos/mine.mp4")
        place(tmp_path / "unused", 1, tmp_path / "masks/mine", (1, 2, 4))
    else:
        place(tmp_path / "frames/mine", 5, tmp_path / "masks/mine", (1, 2, 4))
    section = data(tmp_path, split="all")
    assert tasks.clip_names("masks", section) == ["mine"]
    clip = tasks.read_clip("masks", section, "mine")
    assert (clip.start, clip.scored) == (1, (2, 4))
    assert score("masks", section, "mine").prediction.shape == (4, 54, 96)


def test_mask_without_its_frame(tmp_path, place):
    place(tmp_path / "frames/mine", 3, tmp_path / "masks/mine", (0, 4))
    with pytest.raises(EvaluationError, match=r"00004\.png: no frame of this name among the clip's 3"):
        tasks.read_clip("masks", data(tmp_path, split="all"), "mine")


def test_first_mask_empty(small_davis):
    Image.fromarray(np.zeros((54, 96), np.uint8)).save(small_davis / "Annotations/480p/dog/00000.png")
    with pytest.raises(EvaluationError, match="only background: nothing to carry"):
        score("davis", data(small_davis), "dog")


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
    assert clip.numbers == (1, 3, 4)
    assert clip.joints == ("nose", "tail")
    assert clip.present_tj.tolist() == [[True, True], [True, True], [False, True]]
    assert clip.xy_tj2[0].tolist() == [[40, 20], [60, 30]]
    result = score("keypoints", section, "mine", "jhmdb")
    assert len(result.parts["distances"]["tail"]) == 2
    assert len(result.parts["distances"]["nose"]) == 1, "not annotated in frame 4"


def test_key_points_without_a_column(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,x,y\n0,1,2\n")
    with pytest.raises(EvaluationError, match="lacks the column joint"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


def test_one_joint_has_no_unit_of_length(tmp_path, place):
    place(tmp_path / "frames/mine", 2)
    (tmp_path / "keypoints").mkdir()
    (tmp_path / "keypoints/mine.csv").write_text("frame,joint,x,y\n0,nose,1,2\n1,nose,1,2\n")
    with pytest.raises(EvaluationError, match="1 joint; the unit of PCK is the size of the box around several"):
        tasks.read_clip("keypoints", data(tmp_path, split="all"), "mine")


def test_hidden_files_are_no_frames(small_davis):
    for folder in ("JPEGImages", "Annotations"):
        (small_davis / folder / "480p/dog/._00000.png").write_bytes(b"resource fork")
    assert len(tasks.read_clip("davis", data(small_davis), "dog").frames.names) == 5


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
    assert len(clip.frames.names) >= len(clip.numbers) > 1
    result = score("jhmdb", data(tmp_path), "catch/sample")
    assert 0 < result.scores["PCK@0.5"] <= 1
    assert len(result.parts["distances"]) == 15


@pytest.mark.needs_shared
def test_camvid_under_the_layout_of_vip(shared, tmp_path):
    for kind, folder in (("images", "Images"), ("labels", "Annotations/Category_ids")):
        (tmp_path / folder / "videos1").mkdir(parents=True)
        for number, path in enumerate(sorted((shared / "camvid" / kind).glob("*.png"))[:3]):
            (tmp_path / folder / "videos1" / f"{number:05d}.png").write_bytes(path.read_bytes())
    result = score("vip", data(tmp_path), "videos1")
    assert 0.3 < result.scores["mIoU"] < 1
