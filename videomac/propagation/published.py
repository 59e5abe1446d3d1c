"""Published label propagation scores, to stand beside ours.

Each was made with its authors' own features and protocol: a number made under another preset is not comparable with it.
"""

from __future__ import annotations

from typing import Any

# DAVIS J&F, VIP mIoU, JHMDB PCK@0.1, in percent; as compiled in the papers' tables.
_VALUES: tuple[tuple[str, str, float, float | None, float | None, str], ...] = (
    (
        "VideoMAC ConvNeXtV2-S",
        "unpublished",
        68.4,
        40.4,
        58.1,
        "VideoMAC, CVPR 2024; its evaluation code is not public",
    ),
    ("VideoMAC ResNet-50", "unpublished", 67.2, 43.6, 57.2, "VideoMAC, CVPR 2024; its evaluation code is not public"),
    ("CRW ResNet-18", "crw", 67.6, 38.6, 59.3, "Jabri et al., NeurIPS 2020"),
    ("HVC ResNet-18", "unpublished", 73.1, 44.6, 61.7, "HVC"),
    ("ImageNet-supervised ResNet-50", "unpublished", 66.0, 39.5, 59.2, "as listed in VideoMAC, CVPR 2024"),
    ("DINO ViT-S/16", "dino", 61.8, 36.2, 45.6, "Caron et al., ICCV 2021"),
    ("SiamMAE ViT-S/16", "unpublished", 62.0, 37.3, 47.0, "Gupta et al., NeurIPS 2023"),
    ("DINOv3 ViT-S/16", "unpublished", 72.7, None, None, "DINOv3, 2025"),
    ("DINOv3 ViT-L/16", "unpublished", 79.9, None, None, "DINOv3, 2025"),
)
_COLUMN = {"davis": 0, "vip": 1, "jhmdb": 2}


def published_values(task: str) -> list[dict[str, Any]]:
    """Rows `label`, `protocol`, `score` (0..1, the task's headline), `source`; empty for people's own clips."""
    column = _COLUMN.get(task)
    if column is None:
        return []
    return [
        {
            "label": label,
            "protocol": protocol,
            "score": round(percent / 100, 4),
            "stage": "unpublished",
            "source": source,
        }
        for label, protocol, *percents, source in _VALUES
        if isinstance(percent := percents[column], float)
    ]
