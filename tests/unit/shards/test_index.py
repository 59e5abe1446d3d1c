"""Tars that others made, without Ray."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from shards.index import index_shard, split_name, with_unique_keys
from tests.unit.data.material import write_video
from videomac.errors import DataError
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

    record, rejected = index_shard(Storage(str(tmp_path)), "x.tar")

    rows = {row.key: row for row in record.rows}
    assert {key: (row.kind, row.frames, row.split) for key, row in rows.items()} == {
        "a": ("video", 12, "val"), "dir/f": ("frames", 3, "train")
    }  # fmt: skip
    assert (rows["dir/f"].fps, rows["dir/f"].width, rows["dir/f"].duration) == (12.0, 10, 0.25)
    content = (tmp_path / "x.tar").read_bytes()
    assert content[rows["a"].offset : rows["a"].offset + rows["a"].size] == video
    assert {one.source: one.reason for one in rejected} == {
        "x.tar/g": "no_video", "x.tar/broken": "broken", "x.tar/words": "no_video"
    }  # fmt: skip
    assert record.bytes == len(content)


def test_a_name_that_is_not_utf8_is_rejected_not_the_end(tmp_path, video):
    write_tar(tmp_path / "x.tar", [("a\udcff.mp4", video), ("b.mp4", video)])
    record, rejected = index_shard(Storage(str(tmp_path)), "x.tar")
    assert [row.key for row in record.rows] == ["b"]
    assert [(one.source, one.reason) for one in rejected] == [("x.tar/a\\udcff", "name")]


def test_a_tar_whose_members_leave_it_is_an_error(tmp_path, video):
    write_tar(tmp_path / "x.tar", [("../a.mp4", video)])
    with pytest.raises(DataError, match=r"x\.tar: member name '\.\./a\.mp4' leaves its folder; such a tar is not used"):
        index_shard(Storage(str(tmp_path)), "x.tar")


def test_names_are_cut_as_webdataset_does():
    assert split_name("d.1/a.b.MP4") == ("d.1/a", "b.mp4")
    assert split_name("a") == ("a", "")


def test_keys_that_repeat_get_their_shard_in_front(tmp_path, video):
    records = []
    for name, key in (("x.tar", "a"), ("y.tar", "a"), ("y2.tar", "b")):
        write_tar(tmp_path / name, [(f"{key}.mp4", video)])
        records.append(index_shard(Storage(str(tmp_path)), name)[0])
    assert [row.key for shard in with_unique_keys(records) for row in shard.rows] == ["x/a", "y/a", "b"]
