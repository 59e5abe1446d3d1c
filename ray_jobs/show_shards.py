"""Print what shards hold and draw frame pairs as training sees them.

ray job submit --working-dir . -- python -m ray_jobs.show_shards s3://bucket/shards/manifest.json --out s3://bucket/shards.html
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac show-shards` and return the exit code."""
    with job("show-shards", argv) as config:
        from shards.show import show_shards  # late, so that --help and config errors are fast

        show_shards(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
