r"""Sweep pretraining settings; every trial is scored by label propagation.

ray job submit --working-dir . -- python -m ray_jobs.tune configs/tune/mask_momentum.yaml \
        storage=s3://bucket/sweeps pretrain.data.manifest=s3://bucket/shards/manifest.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac tune` and return the exit code."""
    with job("tune", argv) as config:
        from videomac.distributed.tune import run_sweep  # late, so that --help and config errors are fast

        run_sweep(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
