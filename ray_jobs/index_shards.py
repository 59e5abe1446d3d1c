"""Write manifest and index for WebDataset tars that others made.

ray job submit --working-dir . -- python -m ray_jobs.index_shards s3://bucket/tars
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac index-shards` and return the exit code."""
    with job("index-shards", argv) as config:
        from shards.index import index_shards  # late, so that --help and config errors are fast

        index_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
