"""What is done to a decoded frame, step by step."""

from fractions import Fraction

import av
import numpy as np
import pytest

from videomac.data import picture
from videomac.data.picture import Orientation
from videomac.facts.media import Treatment

GREY = np.full((48, 64, 3), 90, np.uint8)


def frame_of(image, pix_fmt="yuv420p"):
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)


def test_an_ordinary_frame_is_only_converted():
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    frame = frame_of(image)
    assert picture.treatments_of(frame, Fraction(1)) == ()
    assert (picture.picture_of(frame, Fraction(1)) == frame.to_ndarray(format="rgb24")).all()
    assert picture.shown_frame(frame, Fraction(1)) is frame


@pytest.mark.parametrize(
    ("orientation", "mirrored"),
    [(Orientation(True, True, False), False), (Orientation(False, True, True), False), (Orientation(True), True)],
)
def test_orientations(orientation, mirrored):
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    shown = orientation.apply(image)
    assert orientation.is_mirrored is mirrored
    if orientation.transposed:
        image = image.transpose(1, 0, 2)
    image = image[::-1] if orientation.flipped_y else image
    image = image[:, ::-1] if orientation.flipped_x else image
    assert (shown == image).all()
    assert shown.flags.c_contiguous


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(4, 3), 85), (Fraction(8, 9), 57), (Fraction(1), 64)])
def test_pixels_become_square(aspect, width):
    frame = frame_of(GREY)
    made = picture.picture_of(frame, aspect)
    assert made.shape == (48, width, 3)
    assert np.abs(made.astype(int) - 90).max() <= 2
    assert (Treatment.SQUARE_PIXELS in picture.treatments_of(frame, aspect)) == (width != 64)


def test_fields_of_two_times_are_not_combed():
    image = GREY.copy()
    image[1::2] = 200
    made = picture.deinterlaced(frame_of(image)).to_ndarray(format="rgb24")
    assert np.ptp(made.astype(int)) <= 4, "one field alone"


@pytest.mark.parametrize(("alpha", "told"), [(128, (Treatment.ALPHA_IGNORED,)), (255, ())])
@pytest.mark.parametrize("pix_fmt", ["rgba", "yuva420p"])
def test_transparency_is_told(pix_fmt, alpha, told):
    image = np.dstack([GREY, np.full((48, 64, 1), alpha, np.uint8)])
    frame = av.VideoFrame.from_ndarray(image, format="rgba").reformat(format=pix_fmt)
    assert picture.treatments_of(frame, Fraction(1)) == told
    assert np.abs(picture.picture_of(frame, Fraction(1)).astype(int) - 90).max() <= 2
