r"""Scores a backbone by label propagation.

ray job submit --working-dir . -- python -m ray_jobs.evaluate configs/propagation/davis.yaml \
        model=s3://bucket/runs/NAME/export data.root=/data/DAVIS
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac evaluate`; returns the exit code."""
    with job("evaluate", argv) as config:
        from videomac.distributed.evaluate.run import evaluate  # here, so that --help and config errors come at once

        evaluate(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
