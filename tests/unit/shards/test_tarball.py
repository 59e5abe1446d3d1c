"""Tars by webdataset's writer: the bytes that the first versions wrote, and clips that are never whole in memory."""

import hashlib
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from shards.tarball import ShardWriter, fetched, tar_problems
from videomac.records.shards import SampleFacts
from videomac.storage.checksums import sha256_of_range
from videomac.storage.storage import Storage

FACTS = SampleFacts(
    kind="frames", fps=24.0, frames=2, width=4, height=3, duration=0.1, codec="images", source="ä/x",
    source_sha256="0" * 64, segment_start=0.0, segment_end=1e-7, split="train",
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    for name, size in (("a.jpg", 700), ("b.jpg", 512), ("c.MP4", 3000)):
        (tmp_path / name).write_bytes(bytes(i * 7 % 251 for i in range(size)))
    return {name: str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.MP4")}


@pytest.fixture
def written(tmp_path, files):
    """A tar of two images and a video, and where they lie."""
    writer = ShardWriter(str(tmp_path / "x.tar"))
    images = writer.add("one-12345678", [files["a.jpg"], files["b.jpg"]], FACTS)
    video = writer.add("two-12345678", [files["c.MP4"]], FACTS.model_copy(update={"kind": "video"}))
    assert writer.size == 8192
    writer.close()
    return tmp_path / "x.tar", images, video


def test_the_bytes_are_those_that_were_written_before_webdataset_was_the_writer(written):
    path, images, video = written
    assert hashlib.sha256(path.read_bytes()).hexdigest() == (
        "d9e243a317738a0c5fd8f9f3dd1ab61256836e18ef981aaea7071b7309ab1ba7"  # by commit 66eb288
    )
    assert (images.offset, images.size) == (0, 2560)
    assert (video.offset, video.size) == (4096, 3000)


def test_places_hold_what_their_checksums_say(written, files):
    path, images, video = written
    for place in (images, video):
        assert sha256_of_range(str(path), place.offset, place.offset + place.size) == place.sha256
    content = path.read_bytes()
    assert content[video.offset : video.offset + video.size] == Path(files["c.MP4"]).read_bytes()
    with tarfile.open(path) as tar:
        assert tar.getnames() == [
            "one-12345678.000000.jpg", "one-12345678.000001.jpg", "one-12345678.json",
            "two-12345678.mp4", "two-12345678.json",
        ]  # fmt: skip
        facts = json.loads(tar.extractfile("two-12345678.json").read())
        assert {(info.mtime, info.mode, info.uid, info.uname, info.gname) for info in tar} == {(0, 0o644, 0, "", "")}
    assert SampleFacts(**facts) == FACTS.model_copy(update={"kind": "video", "sha256": video.sha256})


def test_a_large_clip_is_not_held_in_memory(tmp_path):
    with open(tmp_path / "big.mp4", "wb") as file:
        file.truncate(64 << 20)
    writer = ShardWriter(str(tmp_path / "x.tar"))
    tracemalloc.start()
    place = writer.add("big", [str(tmp_path / "big.mp4")], FACTS.model_copy(update={"kind": "video"}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    writer.close()
    assert place.size == 64 << 20
    assert peak < 4 << 20


def test_odd_names_and_cuts_are_problems(tmp_path, written):
    path, _, _ = written
    assert tar_problems(str(path)) == []
    (tmp_path / "rubbish.tar").write_bytes(b"rubbish" * 1000)
    assert "not a readable tar" in tar_problems(str(tmp_path / "rubbish.tar"))[0]
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../up.mp4"))
    assert tar_problems(str(tmp_path / "odd.tar")) == ["member name '../up.mp4' leaves its folder"]
    assert fetched(Storage(str(tmp_path)), "x.tar", "unused") == str(path)
