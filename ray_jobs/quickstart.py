"""The whole line on shipped clips: shards, pretraining, export, evaluation, report.

ray job submit --working-dir . -- python -m ray_jobs.quickstart configs/quickstart.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac quickstart`; returns the exit code."""
    with job("quickstart", argv) as config:
        from shards.build import build_shards  # here, so that --help and config errors come at once
        from videomac.distributed.pipeline import run_quickstart

        run_quickstart(config, build_shards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
