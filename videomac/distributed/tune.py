"""Sweeps on Ray Tune: every trial is a pretraining run of its own, scored by label propagation.

A trial is a plain function that asks for next to no CPU and lets Ray Train ask for the workers; its run is named after
the trial's id, so that a restored sweep finds the checkpoints of its trials.
"""

from __future__ import annotations

import functools
import math
import os

import pydantic
import ray
from ray import tune
from rich.console import Console
from rich.table import Table

from videomac.config import Evaluate, Pretrain, Tune
from videomac.config.tune import PROBE
from videomac.data.manifest import load_manifest
from videomac.distributed.cluster import connected, enter
from videomac.distributed.pipeline import run_pipeline
from videomac.errors import TrainingError
from videomac.evaluation.labelled_data import UNREAD_BY_PROBES, UNREAD_BY_TRIALS, check_all_read, check_labelled_data
from videomac.facts.provenance import provenance
from videomac.facts.tasks import TASKS
from videomac.records.sweep import Results, Trial
from videomac.report.sweep import write_sweep_report
from videomac.storage.run_folder import RunFolder

Values = dict[str, pydantic.JsonValue]
"""What a trial tries: dotted keys of the pretraining configuration, each with its value."""
TRIAL_CPUS = 0.01
"""What a trial books for itself, beside what its workers book."""


def run_sweep(config: Tune) -> Results:
    """Run (or resume) a sweep; print its table and write `results.json` and `report.html` into its folder.

    Raises:
        ConfigError: labelled data of the sweep or of its trials' probes is not there.
        StorageError: the shards cannot be read.
        TrainingError: no trial finished; the message holds the first trial's error.
    """
    _check_data(config)
    folder = RunFolder(config.storage, config.name)
    with connected():
        trials = [_trial(result, config.evaluate.task) for result in _tuner(config, folder.url).fit()]
    results = _ranked(config, trials)
    folder.write("results.json", results.to_json(indent=2))
    _print_table(config, results)
    if results.best is None:
        error = next((trial.error for trial in trials if trial.error), "no scores")
        raise TrainingError(f"no trial of {config.name} gave {config.metric}: {error}")
    print(f"report: {write_sweep_report(config.folder)}", flush=True)
    return results


def _check_data(config: Tune) -> None:
    """Find out before the first trial what every trial would fail of."""
    data = config.pretrain.data
    for manifest in config.space.get("data.manifest", [data.manifest]):
        load_manifest(manifest, data.storage_options)
    check_all_read(config.evaluate, UNREAD_BY_TRIALS, "evaluate")
    check_labelled_data(config.evaluate, "evaluate")
    if config.pretrain.probe is not None:
        check_all_read(config.pretrain.probe.evaluate, UNREAD_BY_PROBES, "pretrain.probe.evaluate")
        check_labelled_data(config.pretrain.probe.evaluate, "pretrain.probe.evaluate")


def train_and_score(values: Values, settings: ray.ObjectRef, folder: str) -> None:
    """Run one trial, as Ray Tune calls it.

    Args:
        values: what this trial tries.
        settings: what every trial starts from (`Pretrain`) and how it is scored (`Evaluate`), in Ray's object store.
        folder: the driver's working folder, below which relative paths lie.
    """
    enter(folder)
    training, evaluation = ray.get(settings)
    run_trial(values, training, evaluation)


def run_trial(values: Values, training: Pretrain, evaluation: Evaluate) -> None:
    """Train with `values`, export, score, and report all scores to Ray Tune.

    Where the trial probes its checkpoints, the one that scored best is exported, and its score is reported as `probe`.
    """
    name = tune.get_context().get_trial_id() or "trial"
    trial = training.with_values(**values, **{"run.name": name})
    place = f"{trial.run.storage}/{name}"
    scoring = evaluation.with_values(model=f"{place}/export", out=f"{place}/evaluation", pictures=False)
    outcome = run_pipeline(trial, scoring, best_probed=True)
    tune.report({**outcome.scores, "run_folder": outcome.run.folder})


def _tuner(config: Tune, url: str) -> tune.Tuner:
    # Constants ride along in a partial: what stands in `param_space` ends up in directory names.
    # The configuration, which may hold secrets, is in Ray's object store, because Tune writes down what it is given.
    settings = ray.put((config.pretrain, config.evaluate))
    trial = functools.partial(train_and_score, settings=settings, folder=os.getcwd())
    trainable = tune.with_resources(trial, {"cpu": TRIAL_CPUS})
    if tune.Tuner.can_restore(f"{url}/tune"):
        print(f"{config.folder}: resuming the sweep; finished trials are kept", flush=True)
        return tune.Tuner.restore(f"{url}/tune", trainable=trainable, resume_unfinished=True, resume_errored=True)
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
        run_config=tune.RunConfig(name="tune", storage_path=url, verbose=1),
    )


def _trial(result: tune.Result, task: str) -> Trial:
    """A trial's row of the table, from what Ray Tune kept of it."""
    metrics = result.metrics or {}
    reported = {name: metrics[name] for name in (*TASKS[task].scores, PROBE) if name in metrics}
    return Trial(
        name=metrics.get("trial_id"),
        values=result.config or {},
        status="error" if result.error else "finished",
        error=str(result.error).strip().splitlines()[-1] if result.error else None,
        scores={name: score for name, score in reported.items() if score is not None and math.isfinite(score)},
        run_folder=metrics.get("run_folder"),
        seconds=metrics.get("time_total_s"),
    )


def _ranked(config: Tune, trials: list[Trial]) -> Results:
    """The sweep's results: scored trials best first, then the others."""
    scored = [trial for trial in trials if config.metric in trial.scores]
    scored.sort(key=lambda trial: trial.scores[config.metric], reverse=True)
    return Results(
        name=config.name,
        metric=config.metric,
        best=scored[0].name if scored else None,
        trials=(*scored, *(trial for trial in trials if config.metric not in trial.scores)),
        config_hash=config.config_hash(),
        **provenance(),
    )


def _print_table(config: Tune, results: Results) -> None:
    metric = config.metric
    title = f"{config.name}: {len(results.trials)} trials, best first"
    table = Table("trial", *config.searched, metric, "status", title=title)
    for trial in results.trials:
        values = [str(trial.values.get(key)) for key in config.searched]
        table.add_row(str(trial.name), *values, f"{trial.scores.get(metric, math.nan):.4f}", trial.status)
    Console().print(table)
    if results.best:
        first = results.trials[0]
        print(f"best: {first.name} {first.values} {metric} {first.scores[metric]:.4f}", flush=True)
