import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from videomac.config import Bounds
from videomac.data.frames_clip import image_treatments, opened_image, rgb_of
from videomac.data.open_clip import open_clip
from videomac.data.status import BadClip, Code
from videomac.facts.media import Treatment

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


def test_16_bits_are_scaled_by_their_full_range():
    deep = Image.fromarray(np.array([[0, 257, 32_896, 65_535]], np.uint16))
    assert rgb_of(deep)[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]
    assert image_treatments(deep) == {Treatment.EIGHT_BITS}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_of_8_bits_becomes_rgb(mode):
    grey = Image.fromarray(np.full((4, 6, 3), 255, np.uint8)).convert(mode)
    assert rgb_of(grey).shape == (4, 6, 3)
    assert rgb_of(grey).min() == 255
    assert image_treatments(grey) == set(), "an opaque image is an ordinary one"


def test_transparency_is_ignored_and_told():
    half = Image.fromarray(np.full((4, 6, 4), 90, np.uint8), mode="RGBA")
    assert (rgb_of(half) == 90).all()
    assert image_treatments(half) == {Treatment.ALPHA_IGNORED}


@pytest.mark.parametrize(
    ("orientation", "treatment"), [(2, Treatment.FLIPPED), (3, Treatment.ROTATED), (6, Treatment.ROTATED)]
)
def test_exif_is_followed_and_told(tmp_path, orientation, treatment):
    picture = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "x.png", exif=exif)
    with opened_image(str(tmp_path / "x.png"), "x.png", BOUNDS) as image:
        shown = {2: picture[:, ::-1], 3: picture[::-1, ::-1], 6: np.rot90(picture, -1)}[orientation]
        assert (rgb_of(image) == shown).all()
        assert image_treatments(image) == {treatment}


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tiff"])
def test_other_formats_are_read(tmp_path, suffix):
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(tmp_path / "x.png", format=suffix)
    with opened_image(str(tmp_path / "x.png"), "x.png", BOUNDS) as image:
        assert np.abs(rgb_of(image).astype(int) - 90).max() <= 1


def test_images_without_a_range_are_refused(tmp_path):
    Image.fromarray(np.full((4, 6), 0.5, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(BadClip, match="floating-point"), opened_image(str(tmp_path / "x.tif"), "x.tif", BOUNDS):
        pass
