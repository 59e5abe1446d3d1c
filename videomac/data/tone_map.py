"""HDR video (HLG and PQ) in standard range: BT.2020 light to BT.709 by tables of NumPy, because the FFmpeg in PyAV's
wheels has no filter that knows these curves.

Light is measured against the white of a screen of standard range; what is much brighter is compressed, not cut.
"""

from __future__ import annotations

import functools

import av
import numpy as np
from av.video.reformatter import Interpolation
from jaxtyping import Float32, UInt8, UInt16

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
PQ, HLG = 16, 18
"""`color_trc` of SMPTE ST 2084 and of ARIB STD-B67."""
BT2020 = 9
"""`color_primaries` of BT.2020."""
WHITE_NITS = 100.0
"""Luminance of white in standard range (ITU-R BT.1886); nearest to the SDR original of a clip made HLG by FFmpeg."""
HLG_PEAK_NITS = 1000.0
KNEE = 0.9
"""Share of the range of SDR that stays as it is; what is brighter is compressed into the rest."""
LEVELS = 1 << 12
"""Entries of a table: finer than the 10 bits of the video."""
TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
"""Linear BT.2020 to linear BT.709 (ITU-R BT.2087)."""


def is_hdr(frame: av.VideoFrame) -> bool:
    """Return whether the frame is tagged as HLG or PQ."""
    return frame.color_trc in (PQ, HLG)


def to_sdr(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Return the frame as RGB in standard range."""
    # FFmpeg's fast conversion to 16 bits is wrong where the width is odd.
    deep = frame.reformat(format="rgb48le", interpolation=EXACT, threads=1)
    coded: UInt16[np.ndarray, "h w 3"] = deep.to_ndarray()
    light = _linear(int(frame.color_trc))[coded >> 4]
    if frame.color_trc == HLG:
        light *= _system_gain(light)
    if frame.color_primaries == BT2020:
        light = light @ TO_BT709.T
    return _encoded(_compressed(light))


@functools.cache
def _linear(curve: int) -> Float32[np.ndarray, " n"]:
    """Return light by code value: for PQ of the screen in units of white, for HLG of the scene from 0 to 1."""
    code = np.linspace(0, 1, LEVELS)
    if curve == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = code ** (1 / m2)
    nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (nits / WHITE_NITS).astype(np.float32)


def _system_gain(scene: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 1"]:
    """Return the factor from light of the scene to light of a screen, in units of white (OOTF of ITU-R BT.2100)."""
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return (HLG_PEAK_NITS / WHITE_NITS * np.maximum(luminance, 1e-6) ** 0.2)[..., None]


def _compressed(light: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Return light within 0 to 1: as it is up to the knee, above it ever less; the brightest channel sets the scale, so
    hues stay."""
    brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    over = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    wanted = np.where(brightest > KNEE, KNEE + (1 - KNEE) * over / (1 + over), brightest)
    return np.clip(light * (wanted / brightest), 0, 1)


def _encoded(light: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return _encoding_table()[(light * (LEVELS * 16 - 1) + 0.5).astype(np.uint16)]


@functools.cache
def _encoding_table() -> UInt8[np.ndarray, " n"]:
    """Return BT.1886's code values (gamma 2.4) of light from 0 to 1."""
    return np.round(255 * np.linspace(0, 1, LEVELS * 16) ** (1 / 2.4)).astype(np.uint8)
