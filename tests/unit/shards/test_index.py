"""Tars that others made, without Ray."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from shards.index import index_shard, with_unique_keys
from tests.unit.data.material import write_video
from videomac.config import Bounds
from videomac.data.frames_clip import FramesClip
from videomac.storage.storage import Storage


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def image(level):
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 10, 3), level, np.uint8)).save(stream, format="png")
    return stream.getvalue()


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "v.mp4", 12).read_bytes()


def test_samples_of_foreign_tars_become_rows(tmp_path, video):
    images = [(f"dir/f.{number:06d}.PNG", image(number)) for number in range(3)]
    members = [
        ("a.mp4", video), ("a.json", b'{"split": "val", "fps": "fast"}'), ("a.txt", b"caption"),
        *images, ("dir/f.json", json.dumps({"fps": 12}).encode()),
        ("g.000000.png", image(1)), ("g.000001.png", image(2)), ("g.json", b"not json"),
        ("broken.mp4", b"rubbish"), ("words.txt", b"nothing to see"),
    ]  # fmt: skip
    write_tar(tmp_path / "x.tar", members)

    found = index_shard(Storage(str(tmp_path)), "x.tar")
    record, rejected = found.shard, found.rejected

    rows = {row.key: row for row in record.rows}
    assert {key: (row.kind, row.frames, row.split) for key, row in rows.items()} == {
        "a": ("video", 12, "val"), "dir/f": ("frames", 3, "train")
    }  # fmt: skip
    assert (rows["dir/f"].fps, rows["dir/f"].width, rows["dir/f"].duration) == (12.0, 10, 0.25)
    content = (tmp_path / "x.tar").read_bytes()
    assert content[rows["a"].offset : rows["a"].offset + rows["a"].size] == video
    assert {one.source: one.reason for one in rejected} == {
        "x.tar/g": "no_video", "x.tar/broken": "broken"
    }  # fmt: skip
    assert found.left_out == {"txt": 2}
    assert record.bytes == len(content)


def test_a_name_that_is_not_utf8_is_rejected_not_the_end(tmp_path, video):
    write_tar(tmp_path / "x.tar", [("a\udcff.mp4", video), ("b.mp4", video)])
    found = index_shard(Storage(str(tmp_path)), "x.tar")
    assert [row.key for row in found.shard.rows] == ["b"]
    assert [(one.source, one.reason) for one in found.rejected] == [("x.tar/a\\udcff", "name")]


def test_a_tar_whose_members_leave_it_is_not_used(tmp_path, video):
    write_tar(tmp_path / "x.tar", [("../a.mp4", video), ("b.mp4", video)])
    found = index_shard(Storage(str(tmp_path)), "x.tar")
    assert found.shard.rows == ()
    assert [(one.source, one.reason, one.detail) for one in found.rejected] == [
        ("x.tar", "tar", "member name '../a.mp4' leaves its folder")
    ]


def test_frames_that_lie_between_others_are_read_in_the_order_of_their_numbers(tmp_path):
    members = [("x.json", b'{"fps": "30000/1001"}')]
    for number in (10, 2, 0, 1):
        members += [
            (f"x.{number}.png", image(20 * number)),
            (f"y.{number}.jpg", image(5)),
            (f"x.{number}.mask.png", b""),
        ]
    write_tar(tmp_path / "x.tar", members)

    (row,) = index_shard(Storage(str(tmp_path)), "x.tar").shard.rows

    content = (tmp_path / "x.tar").read_bytes()[row.offset : row.offset + row.size]
    clip = FramesClip(content, row.fps, Bounds())
    assert [int(picture[0, 0, 0]) for _, picture in clip.pictures(range(4))] == [0, 20, 40, 200]
    assert (row.key, row.frames, round(row.fps, 2)) == ("x", 4, 29.97)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"<html>no tar</html>" * 100, "not a readable tar"),
        (b"", "not a readable tar"),
        (bytes(10240), "holds no members"),
    ],
    ids=["html", "empty", "zeros"],
)
def test_a_tar_that_is_none_is_listed(tmp_path, content, detail):
    (tmp_path / "x.tar").write_bytes(content)

    found = index_shard(Storage(str(tmp_path)), "x.tar")

    assert found.shard.rows == ()
    assert [(one.source, one.reason) for one in found.rejected] == [("x.tar", "tar")]
    assert detail in found.rejected[0].detail


def test_of_a_tar_that_is_cut_what_is_whole_is_used(tmp_path, video):
    write_tar(tmp_path / "whole.tar", [("a.mp4", video), ("b.mp4", video)])
    (tmp_path / "x.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[: 1024 + 2 * 512 + len(video)])

    found = index_shard(Storage(str(tmp_path)), "x.tar")

    assert [row.key for row in found.shard.rows] == ["a"]
    assert "cut or damaged after 1 members" in found.rejected[0].detail


def test_keys_that_repeat_get_their_shard_in_front(tmp_path, video):
    records = []
    for name, key in (("x.tar", "a"), ("y.tar", "a"), ("y2.tar", "b")):
        write_tar(tmp_path / name, [(f"{key}.mp4", video)])
        records.append(index_shard(Storage(str(tmp_path)), name).shard)
    assert [row.key for shard in with_unique_keys(records) for row in shard.rows] == ["x/a", "y/a", "b"]
