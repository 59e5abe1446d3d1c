"""Data sets with masks, read and scored; what is missing is named with what to do."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.unit.propagation.scoring import data, score
from videomac.errors import EvaluationError
from videomac.propagation import tasks


def test_davis(small_davis):
    section = data(small_davis)
    assert tasks.clip_names("davis", section) == ["dog"]
    clip = tasks.read_clip("davis", section, "dog")
    assert clip.scored == (1, 2, 3), "first and last frame are left out"
    result = score("davis", section, "dog")
    assert result.prediction.shape == (5, 54, 96)
    assert list(result.parts.objects) == ["dog_1"]
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
    with pytest.raises(EvaluationError, match=r"has no clip 'cat'; it has dog"):
        tasks.clip_names("davis", data(small_davis, clips=("cat",)))


def test_split_as_a_text_file_of_paths(small_davis, tmp_path):
    (tmp_path / "list.txt").write_text("datasets/JPEGImages/480p/dog datasets/Annotations/480p/dog\n")
    assert tasks.clip_names("davis", data(small_davis, split=str(tmp_path / "list.txt"))) == ["dog"]


def test_annotations_in_the_palettes_colours_score_the_same(small_davis):
    indexed = score("davis", data(small_davis), "dog").scores
    for path in (small_davis / "Annotations/480p/dog").iterdir():
        Image.open(path).convert("RGB").save(path)
    assert score("davis", data(small_davis), "dog").scores == indexed


def test_the_lists_of_davis_2016_name_frames_and_annotations(small_davis):
    pairs = (f"/JPEGImages/480p/dog/{t:05d}.jpg /Annotations/480p/dog/{t:05d}.png\n" for t in range(5))
    (small_davis / "ImageSets/480p").mkdir()
    (small_davis / "ImageSets/2017/val.txt").rename(small_davis / "ImageSets/480p/val.txt")
    (small_davis / "ImageSets/480p/val.txt").write_text("".join(pairs))
    assert tasks.clip_names("davis", data(small_davis)) == ["dog"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_lists_in_other_encodings(small_davis, encoding):
    (small_davis / "ImageSets/2017/val.txt").write_bytes("dog\r\ncaf\u00e9\r\n".encode(encoding))
    assert tasks.clip_names("davis", data(small_davis)) == ["dog", "caf\u00e9"]


def test_suffixes_in_capitals(small_davis):
    for path in [*(small_davis / "Annotations/480p/dog").iterdir(), *(small_davis / "JPEGImages/480p/dog").iterdir()]:
        path.rename(path.with_suffix(path.suffix.upper()))
    assert score("davis", data(small_davis), "dog").parts.objects.keys() == {"dog_1"}


def test_a_video_with_its_suffix_in_capitals_and_masks_named_after_frames(tmp_path, write_video, place):
    place(tmp_path / "unused", 1, tmp_path / "masks/dog", (0, 3))
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "dog.mp4")
    (tmp_path / "dog.mp4").rename(tmp_path / "videos/dog.MP4")
    for path in (tmp_path / "masks/dog").iterdir():
        path.rename(path.with_name(f"frame_{int(path.stem)}.png"))
    assert sorted(tasks.read_clip("masks", data(tmp_path), "dog").masks) == [0, 3]


def test_two_masks_of_one_frame(small_davis):
    folder = small_davis / "Annotations/480p/dog"
    (folder / "00001.PNG").write_bytes((folder / "00001.png").read_bytes())
    with pytest.raises(EvaluationError, match=r"00001\.PNG: 00001\.png names the same frame"):
        tasks.read_clip("davis", data(small_davis), "dog")


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
    result = score("vip", section, "videos7", short_side=128)
    counts = np.array(result.parts.confusion)
    assert counts.sum() == 2 * 54 * 96
    assert counts.shape == (20, 20)
    assert result.prediction.shape == (4, 54, 96), "frames 1..4 at the annotations' size"
    given = np.array(Image.open(tmp_path / "Annotations/Category_ids/videos7/00001.png"))
    assert 0.5 < np.mean(result.prediction[0] == given) < 1, "the given frame comes back from the feature grid"


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
    with pytest.raises(EvaluationError, match=r"00004\.png: none of the clip's 3 frames has this name"):
        tasks.read_clip("masks", data(tmp_path, split="all"), "mine")


def test_first_mask_empty(small_davis):
    Image.fromarray(np.zeros((54, 96), np.uint8)).save(small_davis / "Annotations/480p/dog/00000.png")
    with pytest.raises(EvaluationError, match="only background: nothing to carry"):
        score("davis", data(small_davis), "dog")


def test_hidden_files_are_no_frames(small_davis):
    for folder in ("JPEGImages", "Annotations"):
        (small_davis / folder / "480p/dog/._00000.png").write_bytes(b"resource fork")
    assert len(tasks.read_clip("davis", data(small_davis), "dog").frames.names) == 5


@pytest.mark.needs_shared
def test_camvid_under_the_layout_of_vip(shared, tmp_path):
    for kind, folder in (("images", "Images"), ("labels", "Annotations/Category_ids")):
        (tmp_path / folder / "videos1").mkdir(parents=True)
        for number, path in enumerate(sorted((shared / "camvid" / kind).glob("*.png"))[:3]):
            (tmp_path / folder / "videos1" / f"{number:05d}.png").write_bytes(path.read_bytes())
    result = score("vip", data(tmp_path), "videos1", short_side=128)
    assert 0.3 < result.scores["mIoU"] < 1


def test_a_list_names_clips_with_spaces(tmp_path, place):
    place(tmp_path / "frames/my dog", 3, tmp_path / "masks/my dog", (0, 2))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("my dog\n")
    assert tasks.clip_names("masks", data(tmp_path)) == ["my dog"]
