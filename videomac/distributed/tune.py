"""Sweeps on Ray Tune: every trial is a pretraining run of its own, scored by label propagation.

A trial is a plain function that asks for next to no CPU and lets Ray Train ask for the workers; its run is named after
the trial's id, so that a restored sweep finds the checkpoints of its trials.
"""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console
from rich.table import Table

from videomac.config import Tune
from videomac.distributed.cluster import connected, enter
from videomac.distributed.evaluate.run import evaluate
from videomac.distributed.train.launch import pretrain
from videomac.distributed.train.probe import BEST, best
from videomac.errors import TrainingError
from videomac.facts.provenance import provenance
from videomac.pretrain.export import export_checkpoint
from videomac.report.page import write_bytes
from videomac.report.sweep import write_sweep_report
from videomac.storage.run_folder import RunFolder


def run_sweep(config: Tune) -> dict[str, Any]:
    """Runs (or resumes) a sweep; prints its table and writes `results.json` and `report.html` into its folder.

    Raises:
        TrainingError: no trial could be finished; the message holds the first trial's error.
    """
    with connected():
        trials = [_as_row(result) for result in _tuner(config).fit()]
    return _conclude(config, trials)


def train_and_score(values: dict[str, Any], sweep: dict[str, Any], folder: str) -> None:
    """One trial: pretrains with `values` (dotted keys), exports, scores, and reports all scores to Ray Tune.

    Where the trial probes its checkpoints, the one that scored best is exported, and its score is reported as `probe`.

    Relative paths in `sweep` are below `folder`, the driver's working folder.
    """
    enter(folder)
    config = Tune.model_validate_json(json.dumps(sweep))
    name = tune.get_context().get_trial_id() or "trial"
    trial = config.trial_config({**values, "run.name": name})
    run = pretrain(trial)
    export = f"{run.folder}/export"
    probed = best(RunFolder(trial.run.storage, name))
    export_checkpoint(f"{run.folder}/{BEST}/{probed['name']}" if probed else run.checkpoint, export)
    scoring = config.evaluate.with_values(model=export, out=f"{run.folder}/evaluation", pictures=False)
    scores = evaluate(scoring)["scores"] | ({"probe": probed["score"]} if probed else {})
    tune.report({**scores, "run_folder": run.folder})


def _tuner(config: Tune) -> tune.Tuner:
    storage = str(Path(config.storage).absolute()) if "://" not in config.storage else config.storage
    # Constants ride along in a partial: what stands in `param_space` ends up in directory names.
    trainable = tune.with_resources(
        functools.partial(train_and_score, sweep=config.model_dump(mode="json"), folder=os.getcwd()), {"cpu": 0.01}
    )
    place = f"{storage}/{config.name}/tune"
    if tune.Tuner.can_restore(place):
        print(f"{config.folder}: going on with the sweep; finished trials are kept", flush=True)
        return tune.Tuner.restore(place, trainable=trainable, resume_unfinished=True, resume_errored=True)
    in_grid = config.search == "grid"
    choose = tune.grid_search if in_grid else tune.choice
    return tune.Tuner(
        trainable,
        param_space={key: choose(values) for key, values in config.searched.items()},
        tune_config=tune.TuneConfig(
            metric=config.metric,
            mode="max",
            num_samples=1 if in_grid else config.samples,
            max_concurrent_trials=config.max_concurrent,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=f"{storage}/{config.name}", verbose=1),
    )


def _as_row(result: Any) -> dict[str, Any]:
    metrics = result.metrics or {}
    scores = {key: value for key, value in metrics.items() if isinstance(value, float) and _is_score(key)}
    return {
        "name": metrics.get("trial_id"),
        "values": result.config,
        "status": "error" if result.error else "finished",
        "error": str(result.error).strip().splitlines()[-1] if result.error else None,
        "scores": scores,
        "run_folder": metrics.get("run_folder"),
        "seconds": metrics.get("time_total_s"),
    }


def _is_score(name: str) -> bool:
    return name.startswith(("J", "F", "mIoU", "PCK", "probe"))


def _conclude(config: Tune, trials: list[dict[str, Any]]) -> dict[str, Any]:
    scored = [row for row in trials if config.metric in row["scores"]]
    ranked = sorted(scored, key=lambda row: row["scores"][config.metric], reverse=True)
    outcome = {
        "name": config.name,
        "metric": config.metric,
        "best": ranked[0]["name"] if ranked else None,
        "trials": ranked + [row for row in trials if row not in scored],
        "config_hash": config.config_hash(),
        **provenance(),
    }
    write_bytes(f"{config.folder}/results.json", json.dumps(outcome, indent=2, default=str).encode())
    _print_table(config, outcome)
    if not ranked:
        errors = [row["error"] for row in trials if row["error"]]
        raise TrainingError(f"no trial of {config.name} gave {config.metric}: {errors[0] if errors else 'no scores'}")
    print(f"report: {write_sweep_report(config.folder)}", flush=True)
    return outcome


def _print_table(config: Tune, outcome: dict[str, Any]) -> None:
    table = Table(title=f"{config.name}: {len(outcome['trials'])} trials, best first")
    for heading in ("trial", *config.searched, config.metric, "status"):
        table.add_column(heading)
    for row in outcome["trials"]:
        score = row["scores"].get(config.metric, math.nan)
        values = [str(row["values"].get(key)) for key in config.searched]
        table.add_row(str(row["name"]), *values, f"{score:.4f}", row["status"])
    Console().print(table)
    if outcome["best"]:
        best = outcome["trials"][0]
        print(f"best: {best['name']} {best['values']} {config.metric} {best['scores'][config.metric]:.4f}", flush=True)
