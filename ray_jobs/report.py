"""Write report.html of a run (finished or not), a sweep or an evaluation.

ray job submit --working-dir . -- python -m ray_jobs.report s3://bucket/runs/NAME
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job


def main(argv: Sequence[str] | None = None) -> int:
    """Run `videomac report` and return the exit code."""
    with job("report", argv) as config:
        from videomac.report.pages import write_report  # late, so that --help and config errors are fast

        print(write_report(config.run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
