"""Build WebDataset shards, a manifest and an index from videos.

ray job submit --working-dir . -- python -m ray_jobs.build_shards s3://bucket/videos s3://bucket/shards
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac build-shards` and return the exit code."""
    with job("build-shards", argv) as config:
        from shards.build import build_shards  # late, so that --help and config errors are fast

        build_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
