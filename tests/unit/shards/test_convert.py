"""What conversion takes from a configuration, and faults that are not the video's."""

import errno

import av.error
import pytest

from shards import convert, encode
from shards.convert import Conversion
from shards.encode import Reencoding
from tests.unit.data.bars import encode as encode_bars
from tests.unit.data.material import build_settings, write_video
from videomac.config import Bounds
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
