"""Videos become WebDataset shards, a manifest and an index.

ray job submit --working-dir . -- python -m ray_jobs.build_shards s3://bucket/videos s3://bucket/shards
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac build-shards`; returns the exit code."""
    with job("build-shards", argv) as config:
        from shards.build import build_shards  # here, so that --help and config errors come at once

        build_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
