"""Sweeps pretraining settings; trials are scored by label propagation.

ray job submit --working-dir . -- python -m ray_jobs.tune configs/tune/mask_momentum.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac tune`; returns the exit code."""
    with job("tune", argv) as config:
        from videomac.distributed.tune import run_sweep  # here, so that --help and config errors come at once

        run_sweep(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
