"""Check counts, checksums and a decoded sample of every shard.

ray job submit --working-dir . -- python -m ray_jobs.verify_shards s3://bucket/shards/manifest.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac verify-shards` and return the exit code."""
    with job("verify-shards", argv) as config:
        from shards.verify import verify_shards  # late, so that --help and config errors are fast

        verify_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
