r"""Pretrain an encoder on shards; the same configuration resumes.

ray job submit --working-dir . -- python -m ray_jobs.pretrain configs/pretrain/videomac_convnextv2_t.yaml \
        data.manifest=s3://bucket/shards/manifest.json run.storage=s3://bucket/runs
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac pretrain` and return the exit code."""
    with job("pretrain", argv) as config:
        from videomac.distributed.pipeline import run_pipeline  # here, so that --help and errors come at once

        run_pipeline(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
