"""Gaps in the numbers of a folder's images, and 16 bits that cannot be shown."""

import numpy as np
import pytest
from PIL import Image

from shards import convert, frame_folders
from videomac.config import Bounds
from videomac.data.status import BadClip
from videomac.facts.media import Treatment
from videomac.records.decoding import SourceRequest


@pytest.mark.parametrize(
    ("names", "lengths"),
    [
        (["0.jpg", "1.jpg", "2.jpg", "103.jpg", "104.jpg"], [3, 2]),
        (["00000.jpg", "00005.jpg", "00010.jpg"], [3]),
        (["v2_f10.png", "v2_f12.png", "v2_f14.png", "v2_f18.png"], [3, 1]),
        (["1403636579763555584.png", "1403636579813555456.png", "1403636579863555584.png"], [3]),
        (["a.jpg", "b.jpg"], [2]),
        (["b9.jpg", "c1.jpg"], [2]),
        (["7.jpg"], [1]),
    ],
)
def test_a_run_ends_where_numbers_are_missing(names, lengths):
    assert [len(run) for run in frame_folders.consecutive(names)] == lengths


def test_runs_are_clips_of_a_build_and_only_counted_in_a_finished_tar(tmp_path):
    files = [str(tmp_path / f"{number:03d}.png") for number in (0, 1, 2, 50, 51)]
    for file in files:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    made = convert._runs_of_frames(files, 10.0, 60.0, Bounds())
    assert [(clip.frames, clip.start, clip.treatments) for clip in made] == [
        (3, 0.0, (Treatment.NUMBERS_MISSING,)), (2, 0.3, (Treatment.NUMBERS_MISSING,)),
    ]  # fmt: skip
    request = SourceRequest(op="probe", kind="frames", files=tuple(files), fps=10.0)
    assert convert.whole(request, Bounds()).frames == 5


@pytest.mark.parametrize(("low", "high", "is_good"), [(0, 65_535, True), (0, 4095, False), (29_000, 31_040, False)])
def test_16_bits_within_a_narrow_range_are_refused(tmp_path, low, high, is_good):
    file = str(tmp_path / "0.png")
    Image.fromarray(np.linspace(low, high, 64).astype(np.uint16).reshape(8, 8)).save(file)
    if is_good:
        assert frame_folders.look([file], Bounds()) == (8, 8, (Treatment.EIGHT_BITS,))
    else:
        with pytest.raises(BadClip, match=rf"16-bit images whose values lie within {low} to {high}"):
            frame_folders.look([file], Bounds())
