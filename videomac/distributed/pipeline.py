"""One pipeline: train, export, evaluate, report. It serves the quickstart, `videomac pretrain` and a sweep's trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from videomac.config import BuildShards, Evaluate, Export, Pretrain, Quickstart, check_inputs
from videomac.config.tune import PROBE
from videomac.distributed.cluster import connected
from videomac.distributed.evaluate.run import evaluate
from videomac.distributed.stages import QuickstartStages, Stages
from videomac.distributed.train.launch import RunResult, pretrain
from videomac.distributed.train.probe import BEST, best
from videomac.evaluation.labelled_data import check_labelled_data
from videomac.pretrain.export import export
from videomac.report.hero import hero_picture
from videomac.report.run import write_run_report
from videomac.storage.run_folder import RunFolder
from videomac.storage.storage import Storage

HERO = "hero.png"
"""The quickstart's wide picture, which the README shows."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a pipeline produced."""

    run: RunResult
    scores: Mapping[str, float]
    """Scores of the export by name, and `probe` if it is the best probed checkpoint; empty without an evaluation."""


def run_pipeline(
    training: Pretrain,
    evaluation: Evaluate | None = None,
    *,
    best_probed: bool = False,
    stages: Stages | None = None,
    report: Callable[[str], str] = write_run_report,
) -> Outcome:
    """Train a run to its end, write `export/` into its folder, evaluate, and write `report.html`.

    Without an evaluation, a run that is finished, exported and reported is left as it is.

    Args:
        training: the run.
        evaluation: how the export is scored; None: not at all.
        best_probed: export the checkpoint that the run's own probes scored highest, where there is one, instead of
            the last.
        stages: what runs the stages; None: nothing is shown or timed.
        report: writes the page of a run folder and returns its path.

    Raises:
        ExportError: the features of the exported network differ from those of the trained one.
        ConfigError, ClusterError, CheckpointError, DataError, StorageError, TrainingError: as `launch.pretrain`.
        EvaluationError: as `evaluate`.
    """
    stages, folder = stages or Stages(), f"{training.run.storage}/{training.run.name}"
    run = stages.run("pretrain", pretrain, training)
    if evaluation is None and run.was_finished and _is_complete(folder):
        return Outcome(run, {})
    probed = best(RunFolder(training.run.storage, training.run.name)) if best_probed else None
    checkpoint = f"{folder}/{BEST}/{probed.name}" if probed else run.checkpoint
    stages.run("export", export, Export(checkpoint=checkpoint, out=f"{folder}/export"))
    scores = stages.run("evaluate", evaluate, evaluation).scores_or_nan if evaluation else {}
    print(f"report: {stages.run('report', report, folder)}", flush=True)
    return Outcome(run, scores | {PROBE: probed.score} if probed else scores)


def run_quickstart(config: Quickstart, build_shards: Callable[[BuildShards], object]) -> Outcome:
    """Build shards, then run the whole pipeline on them, in one run folder.

    Args:
        config: all stages.
        build_shards: builds the shards; given by the caller, because `shards` knows this room and not the reverse.

    Raises:
        ConfigError: clips or labelled data are not there, or the run folder holds the shards or weights of another
            configuration.
        VideomacError: as the stages.
    """
    check_inputs(config.shards, "shards")
    check_labelled_data(config.evaluate, "evaluate")
    stages = QuickstartStages(config, count=5)

    def report(folder: str) -> str:
        stages.summarise()
        if picture := hero_picture(folder, f"{folder}/{HERO}"):
            print(f"picture: {picture}", flush=True)
        return write_run_report(folder)

    with connected():
        stages.run("shards", build_shards, config.shards)
        return run_pipeline(config.pretrain, config.evaluate, stages=stages, report=report)


def _is_complete(folder: str) -> bool:
    files = Storage(folder)
    return files.exists("export/card.json") and files.exists("report.html")
