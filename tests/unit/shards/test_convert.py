"""What conversion takes from a configuration, and faults that are not the video's."""

import errno
import itertools

import av.error
import pytest

from shards import convert, encode
from shards.convert import Conversion
from shards.encode import Reencoding
from tests.unit.data.bars import corners_of, ffmpeg, number_in, shown_by_ffmpeg
from tests.unit.data.bars import encode as encode_bars
from tests.unit.data.material import build_settings, write_video
from videomac.config import Bounds
from videomac.data.pyav_clip import PyavClip
from videomac.facts.media import Treatment
from videomac.records.decoding import SourceRequest


def conversion(**values):
    return Conversion.of(build_settings(source="x", out="y", **values))


def test_a_conversion_survives_the_way_to_the_decoding_process_and_knows_no_secret():
    options = {"key": "name", "secret": "hidden"}
    made = conversion(reencode=True, short_side=64, crf=30, bounds={"max_pixels": 9}, storage_options=options)
    assert made.reencoding == Reencoding(short_side=64, fps=None, keyframe_interval=8, crf=30)
    assert convert._CONVERSION.validate_json(made.to_json()) == made
    assert b"hidden" not in made.to_json()
    assert conversion().reencoding is None


@pytest.mark.parametrize("code", [errno.EFBIG, errno.ENOSPC])
def test_a_file_that_cannot_be_written_is_not_a_broken_video(tmp_path, monkeypatch, code):
    def fail(*_):
        raise av.error.OSError(code, "no")

    monkeypatch.setattr(encode, "cut", fail)
    path = write_video(tmp_path / "v.mp4", 48)
    request = SourceRequest(op="convert", kind="video", files=(str(path),), folder=str(tmp_path))
    probed = request.model_copy(update={"probed": convert.probe(str(path), Bounds())})
    handle = convert.converter(conversion(segment_s=0.5).to_json())
    with pytest.raises(OSError, match=r"space|large") as failed:
        handle(probed.to_json(), memoryview(b""))
    assert failed.value.errno == code
    assert str(failed.value.filename).startswith(str(tmp_path))


@pytest.mark.needs_ffmpeg
def test_probing_tells_what_is_done_to_a_clip(tmp_path):
    plain = encode_bars(tmp_path / "plain.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    wide = encode_bars(tmp_path / "wide.avi", "-c:v", "mpeg4", "-bf", "2", "-vf", "setsar=3/2")
    assert convert.probe(str(plain), Bounds()).treatments == ()
    clip = convert.probe(str(wide), Bounds())
    assert (clip.frames, clip.width, clip.height) == (36, 240, 96)
    assert clip.treatments == (Treatment.SQUARE_PIXELS,)


def converted(path, folder, **values):
    """The clips of a video, and the numbers that their frames carry."""
    folder.mkdir()
    handle = convert.converter(conversion(min_duration_s=0.0, **values).to_json())
    request = SourceRequest(op="convert", kind="video", files=(str(path),), folder=str(folder))
    answer, _ = handle(
        request.model_copy(update={"probed": convert.probe(str(path), Bounds())}).to_json(), memoryview(b"")
    )
    assert answer.reason is None, answer.detail
    return answer.clips, [numbers_in(clip.files[0]) for clip in answer.clips]


def numbers_in(path):
    clip = PyavClip(path, Bounds())
    try:
        return [number_in(picture) for _, picture in clip.pictures(range(len(clip.times_s)))]
    finally:
        clip.close()


CODECS = [
    ("mp4", "libx264"), ("ts", "libx264"), ("avi", "mpeg4"), ("flv", "flv"), ("ogv", "libtheora"), ("webm", "libvpx"),
    ("mpg", "mpeg1video"), ("avi", "msmpeg4"), ("wmv", "wmv2"), ("mov", "prores"), ("mjpeg", "mjpeg"),
    ("avi", "ffvhuff"), ("gif", "gif"), ("mkv", "libx265"),
]  # fmt: skip


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize(("suffix", "codec"), CODECS)
def test_every_codec_is_cut_without_loss(tmp_path, suffix, codec):
    path = encode_bars(tmp_path / f"v.{suffix}", "-c:v", codec, "-g", "12", "-q:v", "2", "-b:v", "1M")

    clips, numbers = converted(path, tmp_path / "parts", segment_s=0.5)

    assert len(clips) >= 2
    assert [*itertools.chain(*numbers)] == list(range(36))
    assert [clip.frames for clip in clips] == list(map(len, numbers))


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("values", [{"segment_s": 0.5}, {"reencode": True}], ids=["cut", "encoded"])
def test_a_trimmed_video_keeps_every_frame_that_is_shown(tmp_path, values):
    whole = encode_bars(tmp_path / "whole.mp4", "-c:v", "libx264", "-g", "12", "-bf", "2")
    ffmpeg("-ss", "0.2", "-i", str(whole), "-c", "copy", str(tmp_path / "trimmed.mp4"))
    shown = [number_in(picture) for picture in shown_by_ffmpeg(tmp_path / "trimmed.mp4")]
    assert shown[0] not in (0, 12), "it starts between keyframes"

    _, numbers = converted(tmp_path / "trimmed.mp4", tmp_path / "parts", **values)

    assert [*itertools.chain(*numbers)] == shown


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("values", [{"segment_s": 0.5}, {"reencode": True}], ids=["cut", "encoded"])
def test_parts_stand_as_the_source_is_shown(tmp_path, values):
    flipped = encode_bars(tmp_path / "v.mp4", "-c:v", "libx264", "-g", "12")
    turned = tmp_path / "turned.mp4"
    ffmpeg("-i", str(flipped), "-c", "copy", "-metadata:s:v", "rotate=90", "-aspect", "3:1", str(turned))
    first = shown_by_ffmpeg(turned)[0]

    clips, _ = converted(turned, tmp_path / "parts", **values)

    probed = convert.probe(str(turned), Bounds())
    assert {(clip.width, clip.height) for clip in clips} == {(probed.width, probed.height)}
    part = PyavClip(clips[0].files[0], Bounds())
    assert corners_of(next(iter(part.pictures([0])))[1]) == corners_of(first)
    part.close()


@pytest.mark.parametrize("values", [{}, {"reencode": True}], ids=["copied", "encoded"])
def test_a_pause_of_hours_ends_a_part(tmp_path, values):
    ticks = [*range(24), *range(24 * 7200, 24 * 7200 + 24)]
    path = write_video(tmp_path / "v.mkv", 48, ticks=ticks)
    folder = tmp_path / "parts"
    folder.mkdir()
    probed = convert.probe(str(path), Bounds())
    assert probed.has_pause
    request = SourceRequest(op="convert", kind="video", files=(str(path),), folder=str(folder), probed=probed)

    answer, _ = convert.converter(conversion(**values).to_json())(request.to_json(), memoryview(b""))

    assert [(clip.frames, round(clip.duration, 2)) for clip in answer.clips] == [(24, 1.0), (24, 1.0)]
    assert [round(clip.start) for clip in answer.clips] == [0, 7200]


def test_what_no_encoder_takes_has_a_reason_of_its_own(tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("no such size")

    monkeypatch.setattr(encode, "reencode", fail)
    monkeypatch.setattr(encode, "cut", fail)
    path = write_video(tmp_path / "v.mp4", 48)
    request = SourceRequest(
        op="convert", kind="video", files=(str(path),), folder=str(tmp_path), probed=convert.probe(str(path), Bounds())
    )

    answer, _ = convert.converter(conversion(segment_s=0.5).to_json())(request.to_json(), memoryview(b""))

    assert (answer.reason, answer.detail) == ("unencodable", "no such size")
