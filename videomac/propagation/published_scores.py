"""Published scores of label propagation, shown beside ours.

Each was made with its authors' own features and protocol; a score under another preset cannot be compared with it.
"""

from __future__ import annotations

from typing import NamedTuple

from videomac.records.evaluation import Published

UNPUBLISHED = "unpublished"


class _Row(NamedTuple):
    """DAVIS J&F, VIP mIoU and JHMDB PCK@0.1 in percent; stage, stride and protocol where they are published."""

    label: str
    davis: float
    vip: float | None
    jhmdb: float | None
    source: str
    stage: str = UNPUBLISHED
    stride: str = UNPUBLISHED
    davis_protocol: str = UNPUBLISHED
    others_protocol: str = UNPUBLISHED
    """Of VIP and JHMDB."""
    others_source: str = ""


_VIDEOMAC = "VideoMAC, CVPR 2024; its evaluation code is not public"
_LISTED = "as listed in VideoMAC, CVPR 2024"
_ROWS = (
    _Row("VideoMAC ConvNeXtV2-S", 68.4, 40.4, 58.1, _VIDEOMAC),
    _Row("VideoMAC ResNet-50", 67.2, 43.6, 57.2, _VIDEOMAC),
    _Row(
        "CRW ResNet-18",
        67.6,
        38.6,
        59.3,
        "Jabri et al., NeurIPS 2020",
        stage="third, last strides dropped",
        stride="8",
        davis_protocol="crw",
        others_protocol="crw's own",
    ),
    _Row("HVC ResNet-18", 73.1, 44.6, 61.7, "HVC"),
    _Row("ImageNet-supervised ResNet-50", 66.0, 39.5, 59.2, _LISTED),
    _Row(
        "DINO ViT-S/16",
        61.8,
        36.2,
        45.6,
        "Caron et al., ICCV 2021",
        stage="last block",
        stride="16",
        davis_protocol="dino",
        others_source=_LISTED,
    ),
    _Row("SiamMAE ViT-S/16", 62.0, 37.3, 47.0, "Gupta et al., NeurIPS 2023", stride="16"),
    _Row("DINOv3 ViT-S/16", 72.7, None, None, "DINOv3, 2025", stride="16"),
    _Row("DINOv3 ViT-L/16", 79.9, None, None, "DINOv3, 2025", stride="16"),
)


def published_values(task: str) -> tuple[Published, ...]:
    """Return the published scores of a task; none for people's own clips."""
    if task not in ("davis", "vip", "jhmdb"):
        return ()
    davis = task == "davis"
    return tuple(
        Published(
            label=row.label,
            protocol=row.davis_protocol if davis else row.others_protocol,
            score=round(percent / 100, 4),
            stage=row.stage,
            stride=row.stride,
            source=row.source if davis else row.others_source or row.source,
        )
        for row in _ROWS
        if (percent := getattr(row, task)) is not None
    )
