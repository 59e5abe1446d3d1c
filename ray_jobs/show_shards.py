"""Prints what shards hold and draws frame pairs as training sees them.

ray job submit --working-dir . -- python -m ray_jobs.show_shards s3://bucket/shards/manifest.json --out s3://bucket/shards.html
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac show-shards`; returns the exit code."""
    with job("show-shards", argv) as config:
        from shards.show import show_shards  # here, so that --help and config errors come at once

        show_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
