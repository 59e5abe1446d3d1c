"""Writes manifest and index for WebDataset tars that others made.

ray job submit --working-dir . -- python -m ray_jobs.index_shards s3://bucket/tars
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac index-shards`; returns the exit code."""
    with job("index-shards", argv) as config:
        from shards.index import index_shards  # here, so that --help and config errors come at once

        index_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
