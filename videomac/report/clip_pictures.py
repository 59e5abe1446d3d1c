"""Parts of a clip's pictures: strips, animations, skeletons, principal components of features.

Shapes: t frames, h w pixels, 3 channels (RGB, uint8), j joints, c features.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw

from videomac.report.pictures import PALETTE

Edges = Sequence[tuple[int, int]]


def sampled(count: int, wanted: int = 6) -> list[int]:
    """Return up to `wanted` of `count` indices, evenly from the first to the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count))})


def skeleton(frame_hwc: np.ndarray, xy_j2: np.ndarray, edges: Edges) -> np.ndarray:
    """Return a frame with a dot on each joint that exists (not NaN), and lines along `edges`."""
    image = Image.fromarray(frame_hwc)
    draw = ImageDraw.Draw(image)
    radius = max(2, round(min(frame_hwc.shape[:2]) / 100))
    exists_j = [bool(np.isfinite(xy).all()) for xy in xy_j2]
    for edge, (a, b) in enumerate(edges):
        if exists_j[a] and exists_j[b]:
            colour = tuple(int(v) for v in PALETTE[edge % len(PALETTE)])
            draw.line([*xy_j2[a], *xy_j2[b]], fill=colour, width=max(2, radius))
    for joint, (x, y) in enumerate(xy_j2):
        if exists_j[joint]:
            colour = tuple(int(v) for v in PALETTE[joint % len(PALETTE)])
            box = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(box, fill=colour, outline=(255, 255, 255))
    return np.asarray(image)


def grid(lines: Sequence[Sequence[np.ndarray]], width: int = 240, gap: int = 4) -> np.ndarray:
    """Return pictures of equal size as one: `lines` from top to bottom, each picture scaled to `width` pixels."""
    height = round(lines[0][0].shape[0] * width / lines[0][0].shape[1])
    canvas_hwc = np.full(
        (len(lines) * (height + gap) - gap, max(map(len, lines)) * (width + gap) - gap, 3), 255, np.uint8
    )
    for down, line in enumerate(lines):
        for across, picture_hwc in enumerate(line):
            small = Image.fromarray(picture_hwc).resize((width, height), Image.Resampling.BILINEAR)
            top, left = down * (height + gap), across * (width + gap)
            canvas_hwc[top : top + height, left : left + width] = np.asarray(small)
    return canvas_hwc


def video(frames_hwc: Iterable[np.ndarray], fps: int = 12) -> bytes:
    """Return frames as an MP4 (H.264, which every browser plays); odd sides lose their last pixel."""
    stream_bytes = io.BytesIO()
    with av.open(stream_bytes, mode="w", format="mp4") as container:
        stream = None
        for frame_hwc in frames_hwc:
            even_hwc = np.ascontiguousarray(frame_hwc[: frame_hwc.shape[0] // 2 * 2, : frame_hwc.shape[1] // 2 * 2])
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=Fraction(fps), options={"crf": "26", "preset": "veryfast"}
                )
                stream.height, stream.width = even_hwc.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even_hwc, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))
    return stream_bytes.getvalue()


def principal_components(features_tcyx: np.ndarray) -> np.ndarray:
    """Return the three strongest principal components over all frames as red, green and blue, uint8 (T, y, x, 3).

    Each component is scaled to its 1st .. 99th percentile over the clip, so that a colour means the same in every
    frame. Features of fewer than three channels are shown in grey.
    """
    flat_nc = features_tcyx.transpose(0, 2, 3, 1).reshape(-1, features_tcyx.shape[1]).astype(np.float64)
    centred_nc = flat_nc - flat_nc.mean(0)
    _, axes_cc = np.linalg.eigh(centred_nc.T @ centred_nc)
    parts_n3 = centred_nc @ axes_cc[:, ::-1][:, :3]
    low_3, high_3 = np.percentile(parts_n3, [1, 99], axis=0)
    scaled_n3 = np.clip((parts_n3 - low_3) / np.maximum(high_3 - low_3, 1e-12), 0, 1)
    frames, _, down, across = features_tcyx.shape
    coloured = (scaled_n3 * 255).round().astype(np.uint8).reshape(frames, down, across, -1)
    return coloured if coloured.shape[-1] == 3 else np.repeat(coloured[..., :1], 3, axis=-1)


def enlarged(picture_hwc: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture at (height, width), each pixel as a block."""
    return np.asarray(Image.fromarray(picture_hwc).resize((size[1], size[0]), Image.Resampling.NEAREST))


def jpeg(picture_hwc: np.ndarray) -> bytes:
    """Return a picture as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture_hwc).save(stream, format="jpeg", quality=88)
    return stream.getvalue()
