"""Exports a checkpoint's encoder for timm, Hugging Face or ONNX.

ray job submit --working-dir . -- python -m ray_jobs.export s3://bucket/runs/NAME exported
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac export`; returns the exit code."""
    with job("export", argv) as config:
        from videomac.pretrain.export import export  # here, so that --help and config errors come at once

        export(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
