"""Pictures of one evaluated clip: strips, animations, skeletons, principal components of features.

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
    """Up to `wanted` frame numbers from the first to the last, evenly."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count))})


def skeleton(frame_hwc: np.ndarray, xy_j2: np.ndarray, edges: Edges) -> np.ndarray:
    """A frame with a dot for each joint that exists (not NaN), and lines along `edges`."""
    image = Image.fromarray(frame_hwc)
    draw = ImageDraw.Draw(image)
    radius = max(2, round(min(frame_hwc.shape[:2]) / 100))
    exists_j = [bool(np.isfinite(xy).all()) for xy in xy_j2]
    for number, (a, b) in enumerate(edges):
        if exists_j[a] and exists_j[b]:
            colour = tuple(int(v) for v in PALETTE[number % len(PALETTE)])
            draw.line([*xy_j2[a], *xy_j2[b]], fill=colour, width=max(2, radius))
    for number, (x, y) in enumerate(xy_j2):
        if exists_j[number]:
            colour = tuple(int(v) for v in PALETTE[number % len(PALETTE)])
            box = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(box, fill=colour, outline=(255, 255, 255))
    return np.asarray(image)


def grid(rows: Sequence[Sequence[np.ndarray]], width: int = 240, gap: int = 4) -> np.ndarray:
    """Pictures of equal size as one: `rows` from top to bottom, each scaled to `width` pixels."""
    height = round(rows[0][0].shape[0] * width / rows[0][0].shape[1])
    canvas_hwc = np.full(
        (len(rows) * (height + gap) - gap, max(map(len, rows)) * (width + gap) - gap, 3), 255, np.uint8
    )
    for r, row in enumerate(rows):
        for c, picture_hwc in enumerate(row):
            small = Image.fromarray(picture_hwc).resize((width, height), Image.Resampling.BILINEAR)
            top, left = r * (height + gap), c * (width + gap)
            canvas_hwc[top : top + height, left : left + width] = np.asarray(small)
    return canvas_hwc


def video(frames_hwc: Iterable[np.ndarray], fps: int = 12) -> bytes:
    """Frames as an MP4 (H.264, which every browser plays); odd sides lose their last pixel."""
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


def principal_components(features_tchw: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """The three strongest principal components over all frames as red, green and blue, at (height, width).

    Scaled to each component's 1st .. 99th percentile over the clip, so that colours mean the same in every frame.
    """
    flat_nc = features_tchw.transpose(0, 2, 3, 1).reshape(-1, features_tchw.shape[1]).astype(np.float64)
    centred_nc = flat_nc - flat_nc.mean(0)
    _, axes_cc = np.linalg.eigh(centred_nc.T @ centred_nc)
    parts_n3 = centred_nc @ axes_cc[:, ::-1][:, :3]
    low_3, high_3 = np.percentile(parts_n3, [1, 99], axis=0)
    scaled_n3 = np.clip((parts_n3 - low_3) / np.maximum(high_3 - low_3, 1e-12), 0, 1)
    frames, _, rows, columns = features_tchw.shape
    coloured = (scaled_n3 * 255).round().astype(np.uint8).reshape(frames, rows, columns, -1)
    if coloured.shape[-1] < 3:
        coloured = np.repeat(coloured[..., :1], 3, axis=-1)
    return [np.asarray(Image.fromarray(c).resize((size[1], size[0]), Image.Resampling.NEAREST)) for c in coloured]


def jpeg(picture_hwc: np.ndarray) -> bytes:
    """A picture as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture_hwc).save(stream, format="jpeg", quality=88)
    return stream.getvalue()
