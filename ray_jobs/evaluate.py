r"""Score a backbone by label propagation.

ray job submit --working-dir . -- python -m ray_jobs.evaluate configs/propagation/davis.yaml \
        model=s3://bucket/runs/NAME/export data.root=/data/DAVIS out=s3://bucket/evaluations/NAME
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac evaluate` and return the exit code."""
    with job("evaluate", argv) as config:
        from videomac.distributed.evaluate.run import evaluate  # late, so that --help and config errors are fast

        evaluate(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
