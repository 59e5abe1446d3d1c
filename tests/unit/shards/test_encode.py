"""Cutting by stream copy, also from containers that seek badly or leave decoding times out."""

import numpy as np
import pytest

from shards import encode
from shards.convert import probe
from tests.unit.data.material import number_of, write_video
from videomac.config import Bounds
from videomac.data.pyav_clip import PyavClip


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_every_frame_of_a_video_with_b_frames_lies_in_one_segment(tmp_path, suffix):
    path = write_video(tmp_path / f"v.{suffix}", 48, keyframe_every=12, b_frames=2)
    assert probe(str(path), Bounds()).frames == 48
    parts = encode.cut(str(path), str(tmp_path), 0.0, 2.0, 1.0)
    assert [start for _, start in parts] == [0.0, 1.0]
    seen = []
    for part, _ in parts:
        clip = PyavClip(part, Bounds())
        seen += [number_of(picture) for _, picture in clip.pictures(range(len(clip.times_s)))]
        assert np.diff(clip.times_s) == pytest.approx(1 / 24, abs=2e-3)
        clip.close()
    assert seen == list(range(48))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_part_begins_at_the_keyframe_before(tmp_path, suffix):
    path = write_video(tmp_path / f"v.{suffix}", 48, keyframe_every=12, b_frames=2)
    ((part, start),) = encode.cut(str(path), str(tmp_path), 0.7, 1.1, 10.0)
    assert start == pytest.approx(0.5)
    assert probe(part, Bounds()).frames == 24, "up to the keyframe after the end"


def test_frames_of_a_transport_stream_are_found_by_number(tmp_path):
    path = write_video(tmp_path / "v.ts", 40, keyframe_every=10, b_frames=2)
    clip = PyavClip(str(path), Bounds())
    assert [(n, number_of(picture)) for n, picture in clip.pictures([0, 1, 11, 25, 39])] == [
        (0, 0), (1, 1), (11, 11), (25, 25), (39, 39),
    ]  # fmt: skip
    clip.close()


def test_missing_decoding_times_are_made_up():
    assert encode.decoding_times([0, 3, 1, 2], [-1, 0, 1, 2]) == [-1, 0, 1, 2], "good ones stay"
    pts = [200, 320, 280, 240, 300]
    made = encode.decoding_times(pts, [None, None, 200, 240, 280])
    assert made == sorted(made)
    assert len(set(made)) == 5
    assert all(dts <= shown for dts, shown in zip(made, pts, strict=True))
