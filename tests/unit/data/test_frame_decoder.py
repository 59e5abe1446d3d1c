"""Whole clips through the decoding process: the same frames, part by part, and codes for what is wrong with a clip."""

import pytest

from tests.unit.data.material import number_of, write_video
from videomac.config import Bounds
from videomac.data import frame_decoder
from videomac.data.frame_decoder import FrameDecoder
from videomac.data.open_clip import open_clip
from videomac.data.status import BadClip, Code
from videomac.records.decoding import FramesRequest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def decoder():
    one = FrameDecoder(Bounds(decode_timeout_s=5.0))
    yield one
    one.close()


@pytest.fixture
def clip(tmp_path):
    return FramesRequest(path=str(write_video(tmp_path / "v.mp4", 30, b_frames=2)))


def test_frames_are_those_of_this_process_and_come_part_by_part(decoder, clip, sample_clips, monkeypatch):
    monkeypatch.setattr(frame_decoder, "PART_BYTES", 5 * 64 * 48 * 3)
    assert decoder.count(clip) == 30
    assert [number_of(frame) for frame in decoder.frames(clip)] == list(range(30))
    assert [number_of(frame) for frame in decoder.frames(clip.model_copy(update={"start": 27}))] == [27, 28, 29]
    assert number_of(decoder.frame(clip, 13)) == 13
    path = sample_clips / "intel-sample-videos__again.mkv"
    here = open_clip(path.read_bytes(), "video", 0.0, "pyav", Bounds())
    there = decoder.frames(FramesRequest(path=str(path)))
    pairs = zip(here.pictures(range(len(here.times_s))), there, strict=True)
    assert all((one == other).all() for (_, one), other in pairs)


def test_two_readers_share_the_process(decoder, clip, tmp_path):
    other = FramesRequest(path=str(write_video(tmp_path / "w.mp4", 12)))
    both = zip(decoder.frames(clip), decoder.frames(other), strict=False)
    assert [(number_of(one), number_of(two)) for one, two in both] == [(i, i) for i in range(12)]


def test_clips_are_also_given_as_bytes(decoder, clip):
    content = open(clip.path, "rb").read()  # noqa: SIM115
    assert decoder.count(FramesRequest(), content) == 30
    assert number_of(decoder.frame(FramesRequest(), 29, content)) == 29


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ({"max_pixels": 100}, Code.TOO_MANY_PIXELS),
        ({"max_duration_s": 0.5}, Code.TOO_LONG),
    ],
)
def test_bounds_hold(clip, bounds, code):
    decoder = FrameDecoder(Bounds(**bounds))
    with pytest.raises(BadClip) as bad:
        decoder.count(clip)
    assert bad.value.code is code
    decoder.close()


@pytest.mark.parametrize("text", ["", "no video at all" * 100, "ffconcat version 1.0\nfile v.mp4\n"])
def test_what_is_not_a_video_is_broken_also_if_it_names_one(decoder, clip, tmp_path, text):
    (tmp_path / "x.mp4").write_text(text)
    for path in (tmp_path / "x.mp4", tmp_path / "missing.mp4"):
        with pytest.raises(BadClip) as bad:
            decoder.count(FramesRequest(path=str(path)))
        assert bad.value.code is Code.BROKEN
