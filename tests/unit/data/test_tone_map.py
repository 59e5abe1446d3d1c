"""HLG and PQ in standard range: white is white, grey is grey, hues stay, nothing is cut hard."""

import itertools

import av
import numpy as np
import pytest

from videomac.data import tone_map


def hdr_frame(level, curve):
    """A grey of this share of the 10-bit range, tagged with a curve of BT.2100."""
    grey = np.full((16, 16, 3), round(level * 65535), np.uint16)
    frame = av.VideoFrame.from_ndarray(grey, format="rgb48le").reformat(
        format="yuv420p10le", dst_colorspace="ITU709", dst_color_range="MPEG"
    )
    frame.color_trc, frame.color_primaries = curve, tone_map.BT2020
    return frame


def test_only_tagged_frames_are_hdr():
    assert tone_map.is_hdr(hdr_frame(0.5, tone_map.HLG))
    assert tone_map.is_hdr(hdr_frame(0.5, tone_map.PQ))
    assert not tone_map.is_hdr(hdr_frame(0.5, 1))


@pytest.mark.parametrize(("curve", "white"), [(tone_map.PQ, 0.508), (tone_map.HLG, 0.62)])
def test_white_of_100_nits_is_nearly_white_and_brighter_ones_are_told_apart(curve, white):
    shown = [int(tone_map.to_sdr(hdr_frame(level, curve)).mean()) for level in (0, white / 2, white, white + 0.07)]
    assert shown[0] == 0
    assert 235 <= shown[2] <= 250
    assert all(a < b for a, b in itertools.pairwise(shown))


def test_odd_widths_are_converted_as_even_ones():
    frame = hdr_frame(0.5, tone_map.HLG)
    odd = tone_map.to_sdr(frame.reformat(width=15, height=16))
    assert np.abs(odd.astype(int) - int(tone_map.to_sdr(frame).mean())).max() <= 2


def test_grey_stays_grey():
    picture = tone_map.to_sdr(hdr_frame(0.4, tone_map.HLG))
    assert np.ptp(picture.astype(int)) <= 2
