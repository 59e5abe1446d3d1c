"""Checks counts, checksums and a decoded sample of every shard.

ray job submit --working-dir . -- python -m ray_jobs.verify_shards s3://bucket/shards/manifest.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac verify-shards`; returns the exit code."""
    with job("verify-shards", argv) as config:
        from shards.verify import verify_shards  # here, so that --help and config errors come at once

        verify_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
