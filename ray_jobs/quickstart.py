"""Run the whole pipeline on shipped clips: shards, pretraining, export, evaluation, report.

ray job submit --working-dir . -- python -m ray_jobs.quickstart pretrain.run.storage=/shared/runs
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac quickstart` and return the exit code."""
    with job("quickstart", argv) as config:
        from shards.build import build_shards  # late, so that --help and config errors are fast
        from videomac.distributed.pipeline import run_quickstart

        run_quickstart(config, build_shards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
