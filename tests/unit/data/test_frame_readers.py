"""Frames, their order and orientation are those that ffmpeg shows, in every container, in whatever order they are asked
for."""

import random
import struct

import numpy as np
import pytest

from tests.unit.data.bars import corners_of, encode, ffmpeg, number_in, shown_by_ffmpeg
from videomac.config import Bounds
from videomac.data.pyav_clip import PyavClip
from videomac.data.status import BadClip
from videomac.facts.media import Treatment

pytestmark = pytest.mark.needs_ffmpeg

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "9")
B_FRAMES = (*X264, "-bf", "2")
OPEN = (
    *X264[:2],
    "-pix_fmt",
    "yuv420p",
    "-bf",
    "3",
    "-x264-params",
    "open-gop=1:keyint=9:min-keyint=1:scenecut=0:b-adapt=0",
)
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "9", "-q:v", "2")
MPEG4 = ("-c:v", "mpeg4", "-bf", "2", "-g", "9", "-q:v", "2")
KINDS = {
    "mp4": B_FRAMES, "open.mp4": OPEN, "open.mkv": OPEN, "open.ts": OPEN, "mpg": MPEG2, "m2.ts": MPEG2, "m2v": MPEG2,
    "flv": B_FRAMES, "b.avi": B_FRAMES, "m4.avi": MPEG4, "i.avi": ("-c:v", "mjpeg", "-q:v", "2"), "h264": B_FRAMES,
    "mjpeg": ("-q:v", "2"), "gif": (), "pal8.avi": ("-c:v", "rawvideo", "-pix_fmt", "pal8"), "wmv": ("-q:v", "2"),
    "qtrle.mov": ("-c:v", "qtrle"), "gray16.mkv": ("-c:v", "ffv1", "-pix_fmt", "gray16le"),
    "240.mp4": B_FRAMES, "0.1.mkv": B_FRAMES,
}  # fmt: skip


def opened(path):
    return PyavClip(str(path), Bounds())


def numbers_of(path):
    clip = opened(path)
    numbers = [number_in(picture) for _, picture in clip.pictures(range(len(clip.times_s)))]
    clip.close()
    return numbers, clip


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_the_same_whatever_was_asked_before(tmp_path, kind):
    rate = {"240.mp4": "240", "0.1.mkv": "0.1"}.get(kind, "25")
    path = encode(tmp_path / f"v.{kind}", *KINDS[kind], rate=rate)
    clip = opened(path)
    assert np.diff(clip.times_s) == pytest.approx(np.full(35, 1 / float(rate)), abs=1.1e-3)
    in_order = [picture for _, picture in clip.pictures(range(36))]
    assert [number_in(picture) for picture in in_order] == list(range(36))
    shuffler = random.Random(0)
    for number in (shuffler.randrange(36) for _ in range(30)):
        assert all((picture == in_order[number]).all() for _, picture in clip.pictures([number])), number
    clip.close()


def test_an_edit_list_hides_only_what_it_hides(tmp_path):
    whole = encode(tmp_path / "whole.mp4", *B_FRAMES)
    for suffix in ("mp4", "mov"):
        cut = tmp_path / f"cut.{suffix}"
        ffmpeg("-ss", "0.6", "-i", str(whole), "-c", "copy", str(cut))
        numbers, clip = numbers_of(cut)
        assert numbers == [number_in(picture) for picture in shown_by_ffmpeg(cut)]
        assert numbers == list(range(numbers[0], 36))
        assert clip.treatments == (Treatment.TRIMMED,)


@pytest.mark.parametrize(("suffix", "arguments"), [("ts", B_FRAMES), ("mpg", MPEG2)])
def test_streams_joined_byte_by_byte_are_carried_on(tmp_path, suffix, arguments):
    one = encode(tmp_path / f"one.{suffix}", *arguments, numbers=range(20))
    other = encode(tmp_path / f"other.{suffix}", *arguments, numbers=range(500, 520))
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(one.read_bytes() + other.read_bytes())
    numbers, clip = numbers_of(joined)
    assert numbers == [*range(20), *range(500, 520)]
    assert np.diff(clip.times_s) == pytest.approx(np.full(39, 0.04), abs=1e-3)
    assert clip.treatments == (Treatment.TIMES_JOINED,)


@pytest.mark.parametrize("cover_first", [True, False])
@pytest.mark.parametrize(("suffix", "disposition"), [("mp4", "attached_pic"), ("mkv", "0")])
def test_cover_art_and_stills_are_no_film(tmp_path, suffix, disposition, cover_first):
    film = encode(tmp_path / "film.mp4", *B_FRAMES)
    cover = encode(tmp_path / "cover.png", "-vf", "scale=320:320", "-frames:v", "1")
    number = 0 if cover_first else 1
    maps = ("1", "0") if cover_first else ("0", "1")
    made = tmp_path / f"made.{suffix}"
    ffmpeg("-i", str(film), "-i", str(cover), "-map", maps[0], "-map", maps[1], "-c", "copy",
           f"-disposition:v:{number}", disposition, str(made))  # fmt: skip
    numbers, clip = numbers_of(made)
    assert numbers == list(range(36))
    assert clip.treatments == (Treatment.OTHER_STREAM,)


def test_cover_art_alone_is_no_clip(tmp_path):
    cover = encode(tmp_path / "cover.png", "-frames:v", "1")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy",
           "-disposition:v", "attached_pic", str(tmp_path / "song.mp4"))  # fmt: skip
    with pytest.raises(BadClip, match="cover art"):
        opened(tmp_path / "song.mp4")


MATRICES = {
    "rotated": [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)],
    "flipped": [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)],
}


@pytest.mark.parametrize(("kind", "matrix"), [(kind, matrix) for kind, found in MATRICES.items() for matrix in found])
def test_display_matrices_are_applied(tmp_path, kind, matrix):
    stored = encode(tmp_path / "v.mp4", *X264, numbers=range(3))
    a, b, c, d = (value << 16 for value in matrix)
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    content = stored.read_bytes()
    place = content.index(upright, content.index(b"tkhd"))
    asked = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    stored.write_bytes(content[:place] + asked + content[place + len(asked) :])
    clip = opened(stored)
    picture = next(iter(clip.pictures([1])))[1]
    clip.close()
    plain = ffmpeg("-i", str(stored), "-vf", "format=rgb24", "-f", "rawvideo", "-frames:v", "1", "-")
    shown = np.frombuffer(plain, np.uint8).reshape(picture.shape)
    assert corners_of(picture) == corners_of(shown)
    assert clip.treatments == (Treatment(kind),)


def test_pixels_become_square_and_fields_one_picture(tmp_path):
    wide = encode(tmp_path / "wide.mp4", *X264, "-vf", "setsar=4/3")
    _, clip = numbers_of(wide)
    assert clip.treatments == (Treatment.SQUARE_PIXELS,)
    clip = opened(wide)
    assert next(iter(clip.pictures([7])))[1].shape == (96, 213, 3)
    clip.close()
    woven = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme")
    fields = encode(tmp_path / "fields.mkv", *X264, *woven)
    numbers, clip = numbers_of(fields)
    assert clip.treatments == (Treatment.DEINTERLACED,)
    assert numbers == list(range(0, 36, 2)), "the first field of each frame alone"


def test_a_pause_stays_a_pause(tmp_path):
    path = encode(tmp_path / "v.mkv", *B_FRAMES, "-vf", "setpts=PTS+gte(N\\,18)*1800/TB", "-vsync", "passthrough")
    numbers, clip = numbers_of(path)
    assert numbers == list(range(36))
    assert np.diff(clip.times_s).max() == pytest.approx(1800.04, abs=1e-2)
