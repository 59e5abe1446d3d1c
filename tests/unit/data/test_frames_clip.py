import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from videomac.config import Bounds
from videomac.data.frames_clip import opened_image
from videomac.data.open_clip import open_clip
from videomac.data.status import BadClip, Code

BOUNDS = Bounds()


def frames_tar(pictures, suffix="png"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, picture in enumerate(pictures):
            image = io.BytesIO()
            Image.fromarray(picture).save(image, format=suffix)
            info = tarfile.TarInfo(f"k.{number:06d}.{suffix}")
            info.size = len(image.getvalue())
            tar.addfile(info, io.BytesIO(image.getvalue()))
        end = tar.offset
    return stream.getvalue()[:end]


def test_frames_of_a_folder_come_unchanged_and_in_time():
    pictures = np.random.default_rng(0).integers(0, 255, (5, 20, 30, 3), np.uint8)
    one = open_clip(frames_tar(pictures), "frames", 6.0, "pyav", BOUNDS)
    assert one.times_s == pytest.approx(np.arange(5) / 6)
    assert all((picture == pictures[n]).all() for n, picture in one.pictures([1, 4]))
    with pytest.raises(BadClip):
        list(open_clip(frames_tar(pictures), "frames", 6.0, "pyav", Bounds(max_pixels=20)).pictures([0]))
    with pytest.raises(BadClip):
        open_clip(b"rubbish" * 200, "frames", 6.0, "pyav", BOUNDS)


def test_an_image_beyond_the_bounds_of_pil_has_too_many_pixels(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadClip) as bad, opened_image(str(tmp_path / "x.png"), "x.png", BOUNDS):
        pass
    assert bad.value.code is Code.TOO_MANY_PIXELS
