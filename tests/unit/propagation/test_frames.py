"""Frames of evaluated clips: videos are decoded in the process that training uses, under `data.bounds`."""

import os

import numpy as np
import pytest
from PIL import Image

from tests.unit.data.material import number_of
from tests.unit.data.material import write_video as write_numbered
from videomac import config
from videomac.data import frame_decoder
from videomac.errors import EvaluationError
from videomac.facts.presets import PRESETS
from videomac.propagation import frames, tasks
from videomac.propagation.frames import Frames, find_frames


@pytest.fixture(autouse=True)
def _own_decoder():
    frames._decoder.cache_clear()
    yield
    frames._decoder.cache_clear()


@pytest.fixture
def clip(tmp_path):
    return Frames((write_numbered(tmp_path / "v.mp4", 20),), config.Bounds())


@pytest.mark.integration
def test_a_video_gives_its_frames_from_any_one_on(clip):
    assert clip.names == [f"{i:05d}" for i in range(20)]
    assert [number_of(frame) for frame in clip.read()] == list(range(20))
    assert [number_of(frame) for frame in clip.read(17)] == [17, 18, 19]
    assert next(clip.read()).flags.writeable


@pytest.mark.integration
def test_a_video_that_crashes_the_decoder_is_an_error_and_not_the_end(clip, monkeypatch):
    monkeypatch.setattr(frame_decoder, "FRAME_DECODER", "tests.unit.data.handlers:crashing_frame_decoder")
    with pytest.raises(EvaluationError, match=r"v\.mp4: cannot be used \(crash: SIGSEGV\); encode it again"):
        list(clip.read())


@pytest.mark.integration
@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"max_pixels": 100}, r"too_many_pixels: frames of 64x48 px.*; raise that bound below data\.bounds"),
        ({"max_duration_s": 0.2}, r"too_long: .*bounds\.max_duration_s = 0.2\); raise that bound"),
    ],
)
def test_bounds_of_the_configuration_hold(tmp_path, clip, bounds, said):
    (tmp_path / "videos").mkdir()
    os.rename(clip.files[0], tmp_path / "videos" / "mine.mp4")
    (tmp_path / "masks" / "mine").mkdir(parents=True)
    for number in (0, 1):
        Image.fromarray(np.ones((48, 64), np.uint8)).save(tmp_path / "masks" / "mine" / f"{number:05d}.png")
    data = config.LabelledData(root=str(tmp_path), bounds=config.Bounds(**bounds))
    with pytest.raises(EvaluationError, match=said):
        tasks.read_clip("masks", data, "mine")


@pytest.mark.integration
@pytest.mark.parametrize("content", [b"", b"rubbish" * 500])
def test_a_broken_video_is_named(tmp_path, content):
    (tmp_path / "x.mp4").write_bytes(content)
    broken = Frames((tmp_path / "x.mp4",), config.Bounds())
    for ask in (lambda: broken.names, lambda: list(broken.read())):
        with pytest.raises(EvaluationError, match=r"x\.mp4: cannot be used \(broken: .*; encode it again"):
            ask()


def test_images_are_bounded_too(tmp_path):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "0.png")
    assert [frame.shape for frame in find_frames(tmp_path, config.Bounds()).read()] == [(20, 30, 3)]
    with pytest.raises(EvaluationError, match=r"0\.png: cannot be used \(too_many_pixels: .*raise that bound"):
        list(find_frames(tmp_path, config.Bounds(max_pixels=599)).read())
    (tmp_path / "0.png").write_bytes(b"rubbish")
    with pytest.raises(EvaluationError, match=r"0\.png: cannot be used \(broken: the file is not a readable image"):
        list(find_frames(tmp_path, config.Bounds()).read())


def test_frames_of_another_size_are_named(tmp_path):
    for number, width in enumerate((30, 30, 31)):
        Image.fromarray(np.zeros((20, width, 3), np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(EvaluationError, match=r"2\.png: frame 2 is 31x20 px, the frames before it are 30x20"):
        list(find_frames(tmp_path, config.Bounds()).read())


@pytest.mark.parametrize(
    ("name", "native", "expected"),
    [
        ("crw", (480, 854), (480, 854)),
        ("dino", (480, 854), (480, 832)),
        ("dino", (854, 480), (832, 480)),
        ("crw-240p", (480, 854), (240, 427)),
        ("cropmae", (480, 854), (480, 880)),
        ("vip", (720, 1280), (560, 560)),
    ],
)
def test_input_sizes(name, native, expected):
    assert frames.input_size(native, PRESETS[name]) == expected


@pytest.mark.parametrize("names", [("frame_1", "frame_2", "frame_10"), ("9", "10", "100"), ("a1b2", "a1b10", "a2b1")])
def test_frames_come_in_the_order_in_which_people_count(tmp_path, names):
    for name in reversed(names):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.JPG", "JPEG")
    assert find_frames(tmp_path, config.Bounds()).names == list(names)


def test_two_files_of_one_frame_are_refused(tmp_path):
    for suffix in ("jpg", "png"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"0.{suffix}")
    with pytest.raises(EvaluationError, match=r"0\.jpg and 0\.png are two files of one frame"):
        find_frames(tmp_path, config.Bounds())


def test_frames_are_turned_as_their_exif_says(tmp_path):
    pixels = np.zeros((16, 8, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "0.png", exif=exif)
    shown = next(find_frames(tmp_path, config.Bounds()).read())
    assert shown.shape == (8, 16, 3)
    assert shown[:, 8:].all(), "a quarter turn to the right brings the top to the right side"
    assert not shown[:, :8].any()
