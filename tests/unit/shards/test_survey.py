"""Every file below a source is used, or counted by kind."""

from __future__ import annotations

import pytest

from shards.survey import survey
from tests.unit.data.material import write_video
from videomac.storage.storage import Storage


@pytest.fixture
def found(tmp_path):
    def look(**files: bytes | str):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return survey(Storage(str(tmp_path)))

    return look


def names(entries):
    return [entry.name for entry in entries]


def total(survey):
    return len(survey.videos) + sum(map(len, survey.frames.values())) + sum(survey.left_out.values())


def test_stills_and_sidecars_of_videos_are_counted_and_are_no_clips(found):
    files = (
        "a.mp4",
        "a.jpg",
        "b.mp4",
        "b-poster.png",
        "b.srt",
        "folder.jpg",
        "a.nfo",
        "._a.mp4",
        ".DS_Store",
        "x/one.jpg",
    )
    seen = found(**dict.fromkeys(files, "x"))

    assert names(seen.videos) == ["a.mp4", "b.mp4"]
    assert seen.frames == {}
    assert seen.left_out == {"hidden": 2, "still of a video": 3, "srt": 1, "nfo": 1, "single image": 1}
    assert total(seen) == len(files)


@pytest.mark.parametrize("suffix", ["jpg", "PNG", "bmp", "tif", "webp"])
def test_images_in_a_folder_are_the_frames_of_a_clip(found, suffix):
    seen = found(**{f"f/{i}.{suffix}": "x" for i in range(3)}, **{"v.mp4": "x"})
    assert len(seen.frames["f"]) == 3


def test_a_mixed_tree_loses_nothing(found):
    files = (
        "davis/JPEGImages/480p/dog/0.jpg", "davis/JPEGImages/480p/dog/1.jpg", "davis/Annotations/480p/dog/0.png",
        "davis/Annotations/480p/dog/1.png", "davis/ImageSets/val.txt", "phone/a.mp4", "frames/c/0.png",
        "frames/c/1.png", "davis/extra.mp4",
    )  # fmt: skip
    seen = found(**dict.fromkeys(files, "x"))

    assert names(seen.videos) == ["davis/extra.mp4", "phone/a.mp4"]
    assert set(seen.frames) == {"davis/JPEGImages/480p/dog", "frames/c"}
    assert seen.left_out == {"beside JPEGImages": 2, "txt": 1}
    assert total(seen) == len(files)


def test_a_video_of_any_name_is_found_by_its_first_bytes(found, tmp_path):
    for suffix in ("mp4", "avi", "mkv", "ts", "mpg"):
        content = write_video(tmp_path / f"w.{suffix}", 12).read_bytes()
        (tmp_path / f"w.{suffix}").rename(tmp_path / f"as_{suffix}")
        (tmp_path / f"as_{suffix}.xyz").write_bytes(content)

    seen = found(**{"text.xyz": "just words", "empty.xyz": "", "README": "words"})

    assert len(seen.videos) == 10
    assert seen.left_out == {"xyz": 2, "no suffix": 1}


def test_links_to_nowhere_and_in_circles_end(found, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/loop").symlink_to(tmp_path / "d")
    (tmp_path / "d/gone.dat").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d/self.mp4").symlink_to(tmp_path / "d/self.mp4")

    seen = found(**{"d/a.mp4": "x"})

    assert names(seen.videos) == ["d/a.mp4", "d/self.mp4"]
    assert seen.left_out == {"dat": 1}
