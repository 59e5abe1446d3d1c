"""The whole line on shipped clips: shards, pretraining, export, evaluation, report.

ray job submit --working-dir . -- python -m ray_jobs.quickstart configs/quickstart.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from videomac.cli import job
from videomac.config import Export


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `videomac quickstart`; returns the exit code."""
    with job("quickstart", argv) as config:
        from shards.build import build_shards  # here, so that --help and config errors come at once
        from videomac.distributed.cluster import connected
        from videomac.distributed.evaluate.run import evaluate
        from videomac.distributed.stages import Stages
        from videomac.distributed.train.launch import pretrain
        from videomac.pretrain.export import export
        from videomac.report.run import write_run_report
        from videomac.report.summary import summarise

        stages = Stages(config, count=5)
        stages.discard("evaluation")
        with connected():
            stages.run("shards", build_shards, config.shards)
            stages.run("pretrain", pretrain, config.pretrain)
            stages.run("export", export, Export(checkpoint=config.folder, out=config.evaluate.model))
            stages.run("evaluate", evaluate, config.evaluate)
        stages.finish(**summarise(config.folder))
        print(f"report: {stages.run('report', write_run_report, config.folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
