"""Export a checkpoint's encoder for timm, Hugging Face or ONNX.

ray job submit --working-dir . -- python -m ray_jobs.export s3://bucket/runs/NAME s3://bucket/exports/NAME
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac export` and return the exit code."""
    with job("export", argv) as config:
        from videomac.pretrain.export import export  # late, so that --help and config errors are fast

        export(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
