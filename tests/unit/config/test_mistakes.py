"""Every typo and impossible value ends a command before Ray starts: key, value, what was meant, what is known."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from videomac.cli import COMMANDS, parse
from videomac.errors import ConfigError
from videomac.facts.networks import SIZES
from videomac.facts.presets import PRESETS
from videomac.facts.tasks import TASKS

ROOT = Path(__file__).resolve().parents[3]
PRETRAIN = ["run.name=a", "data.manifest=m.json", "train.steps=2"]
PROBE = "probe={evaluate: {data: {root: d}}}"
EVALUATE = ["data.root=d"]

MISTAKES = [
    # command, words, start of the message after its origin, what else it says
    ("pretrain", [*PRETRAIN, "model.encoder.name=convnextv2_tinny"],
     "model.encoder.name: unknown network 'convnextv2_tinny'; did you mean 'convnextv2_tiny'?", list(SIZES)),
    ("pretrain", [*PRETRAIN, "model.encoder={name: resnet34, variant: paper}"],
     "model.encoder.variant: resnet34 has no variant paper", ["standard", "resnet18", "resnet50"]),
    ("pretrain", [*PRETRAIN, "model.encoder.variant=papper"],
     "model.encoder.variant: expected 'standard' or 'paper', got \"papper\" (string); did you mean 'paper'?", []),
    ("pretrain", [*PRETRAIN, "model.cell=24"], "model.cell: expected 16 or 32, got 24", []),
    ("pretrain", [*PRETRAIN, "data.image_size=[224, 230]"],
     "data.image_size: 224x230 is not a multiple of model.cell = 32; use 224x224", []),
    ("pretrain", [*PRETRAIN, "data.image_size=[0, 224]"], "data.image_size: expected positive", ["[0, 224]"]),
    ("pretrain", [*PRETRAIN, "model.mask_ratio=0.99"],
     "model.mask_ratio: 0.99 of 49 cells keeps int(49 * (1 - 0.99)) = 0 visible; expected 1 to 48", []),
    ("pretrain", [*PRETRAIN, "workers.count=2", "workers.min_count=4"],
     "workers.min_count: 4 is more than count = 2", []),
    ("pretrain", [*PRETRAIN, "data.pairs_per_open=3"], "data.pairs_per_open: 3 must divide train.batch_size = 256", []),
    ("pretrain", [*PRETRAIN, "train.epochs=2"], "train: give exactly one of steps and epochs; both are set", []),
    ("pretrain", PRETRAIN[:2], "train: required", []),
    ("pretrain", [*PRETRAIN, "train.steps=null"], "train: give exactly one of steps and epochs; neither is set", []),
    ("pretrain", [*PRETRAIN, "run.name=-a"], "run.name: expected pattern '^[A-Za-z0-9]", ['got "-a" (string)']),
    ("pretrain", [*PRETRAIN, "data.gap_s=[0.5]"], "data.gap_s.1: required", []),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: random, model: b, seeds: []}]"],
     "features.0.seeds: expected at least 1 item after validation, not 0, got [] (list)", []),
    ("pretrain", [*PRETRAIN, "data.gap_s=[0.5, 0.1]"], "data.gap_s: expected 0 <= low <= high", ["[0.5, 0.1]"]),
    ("pretrain", [*PRETRAIN, "data.augment.scale=[0.0, 1.0]"], "data.augment.scale: expected 0 < low", ["[0.0, 1.0]"]),
    ("pretrain", [*PRETRAIN, "data.augment.ratio=[2.0, 1.0]"], "data.augment.ratio: expected 0 < low", ["[2.0, 1.0]"]),
    ("pretrain", [*PRETRAIN, "data.pair_sampling=neighbours_6fps"],
     "data.pairs_per_open: pair_sampling neighbours_6fps needs 1, got 2", []),
    ("pretrain", [*PRETRAIN, "optim.ema_momentum=[0.9, 1.1]"], "optim.ema_momentum: expected two values", ["1.1"]),
    ("pretrain", [*PRETRAIN, "optim.betas=[0.9, 1.0]"], "optim.betas: expected two values from 0 to below 1", ["1.0"]),
    ("pretrain", [*PRETRAIN, "log.writers=[tensorbord]"], "log.writers.0: expected", ["did you mean 'tensorboard'?"]),
    ("pretrain", [*PRETRAIN, PROBE, "probe.evaluate.preset=crww"],
     "probe.evaluate.preset: unknown preset 'crww'; did you mean 'crw'?", list(PRESETS)),
    ("pretrain", [*PRETRAIN, PROBE, "probe.evaluate.stage=4"],
     "probe.evaluate.stage: convnextv2_tiny has no stage 4; it has 0 (stride 4)", []),
    ("pretrain", [*PRETRAIN, PROBE, "probe.evaluate.stride_reduction=4"],
     "probe.evaluate.stage: stride_reduction = 4: stage 1 of convnextv2_tiny has stride 8", []),
    ("pretrain", [*PRETRAIN, PROBE, "probe.evaluate.stride_reduction=2", "model.encoder.variant=paper"],
     "probe.evaluate.stage: stride_reduction = 2: convnextv2_tiny of variant paper cannot be dilated", []),
    ("pretrain", [*PRETRAIN, PROBE, "probe.evaluate.setings.topk=3"],
     "probe.evaluate.setings: unknown key; did you mean 'settings'?", ["stride_reduction"]),
    ("pretrain", [*PRETRAIN, "data.storage_options.endpoint=http://x"],
     "data.storage_options.endpoint: unknown key; did you mean 'endpoint_url'?", ["secret_env"]),
    ("evaluate", [*EVALUATE, "preset=dinno"], "preset: unknown preset 'dinno'; did you mean 'dino'?", list(PRESETS)),
    ("evaluate", [*EVALUATE, "task=davvis"], "task: expected", [*TASKS, "did you mean 'davis'?"]),
    ("evaluate", [*EVALUATE, "settings.topk=0"], "settings.topk: expected greater than or equal to 1, got 0", []),
    ("evaluate", [*EVALUATE, "settings.short_side=4"], "settings.short_side: expected", ["16", "got 4"]),
    ("evaluate", [*EVALUATE, "settings.top_k=3"], "settings.top_k: unknown key; did you mean 'topk'?", ["radius"]),
    ("evaluate", ["resnet18.a1_in1k", *EVALUATE, "stage=5"], "stage: resnet18 has no stage 5", []),
    ("evaluate", [*EVALUATE, "stage=7", "baselines=[resnet50@w.pth]"], "stage: resnet50 has no stage 7", []),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: random, model: convnext_tiny, stage: 9}]"],
     "features.0.stage: convnext_tiny has no stage 9", []),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: random}]"],
     "features.0.model: source random needs one", []),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: rawcolour}]"],
     "features.0.source: expected", ["did you mean 'raw_colour'?"]),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: raw_patch, sed: 1}]"],
     "features.0.sed: unknown key; did you mean 'seeds'?", ["weights"]),
    ("evaluate", [*EVALUATE, "features=[{label: a, source: raw_patch}, {label: a, source: raw_colour}]"],
     "features: two candidates are labelled 'a'", []),
    ("tune", ["evaluate.preset=crww"], "evaluate.preset: unknown preset 'crww'", list(PRESETS)),
    ("tune", ["metric=JF-Mean"], "metric: unknown score of task davis 'JF-Mean'; did you mean 'J&F-Mean'?", ["probe"]),
    ("tune", ["metric=mIoU"], "metric: unknown score of task davis 'mIoU'", list(TASKS["davis"].scores)),
    ("tune", ["metric=probe"], "metric: trials have no probe; set pretrain.probe", list(TASKS["davis"].scores)),
    ("tune", ["evaluate.stage=4"], "evaluate.stage: convnextv2_atto has no stage 4", []),
    ("tune", ["pretrain.model.encoder.name=resnet51"], "pretrain.model.encoder.name: unknown network", list(SIZES)),
    ("tune", ["space.model.mask_rato=[0.5]"],
     "space.model.mask_rato: 0.5 cannot be run: model.mask_rato: unknown key; did you mean 'mask_ratio'?", []),
    ("tune", ["space.model.mask_ratio=[0.5, 1.5]"], "space.model.mask_ratio: 1.5 cannot be run: model.mask_ratio:", []),
    ("tune", ["space.model.encoder.name=[resnet18, resnet51]"],
     'space.model.encoder.name: "resnet51" cannot be run', ["did you mean 'resnet50'?"]),
    ("tune", ["space.model.mask_ratio=[]"], "space.model.mask_ratio: expected a list with at least one value", []),
    ("tune", ["space.run.name=[a, b]"], "space.run.name: set by the sweep itself", []),
    ("quickstart", ["evaluate.preset=crw-240"], "evaluate.preset: unknown preset", ["did you mean 'crw-240p'?"]),
    ("quickstart", ["evaluate.stage=4"], "evaluate.stage: convnextv2_atto has no stage 4", []),
    ("quickstart", ["pretrain.workers.min_count=3"], "pretrain.workers.min_count: 3 is more than count = 2", []),
    ("verify-shards", ["M", "pairs=3"], "pairs: unknown key", ["manifest, storage_options"]),
    ("verify-shards", ["M", "out=x"], "out: unknown key", ["manifest, storage_options"]),
    ("index-shards", ["T", "seed=1"], "seed: unknown key", ["tars, storage_options"]),
    ("show-shards", ["M", "pair=3"], "pair: unknown key; did you mean 'pairs'?", ["seed"]),
    ("build-shards", ["a", "b", "short_side=64"], "short_side: only re-encoding changes frames", []),
    ("build-shards", ["a", "b", "reencode_fps=6.0"], "reencode_fps: only re-encoding changes frames", []),
    ("export", ["a", "b", "format=hugingface"], "format: expected", ["did you mean 'huggingface'?"]),
    ("report", ["a", "rnu=x"], "rnu: unknown key; did you mean 'run'?", []),
]  # fmt: skip


@pytest.mark.parametrize(("command", "words", "start", "also"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_one_line_with_its_key_and_what_is_known(command, words, start, also):
    with pytest.raises(ConfigError) as caught:
        parse(COMMANDS[command], words)

    message = str(caught.value)
    assert "\n" not in message
    assert message.partition(": ")[2].startswith(start)
    assert all(part in message for part in also)


RUN_ALL = """
    import contextlib, io, json, sys, time
    from ray_jobs import cli
    ended = []
    for command, words in json.load(sys.stdin):
        shown, begin = io.StringIO(), time.monotonic()
        with contextlib.redirect_stderr(shown), contextlib.suppress(SystemExit):
            cli.main([command, *words])
        ended.append(shown.getvalue())
    print(json.dumps({"lines": ended, "heavy": [name for name in ("ray", "torch") if name in sys.modules]}))
"""


def test_no_mistake_loads_ray_or_torch():
    given = json.dumps([(command, words) for command, words, *_ in MISTAKES])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN_ALL)],
        input=given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])

    assert answer["heavy"] == []
    for (command, _, start, _), line in zip(MISTAKES, answer["lines"], strict=True):
        assert line.count("\n") == 1
        assert line.startswith(f"videomac {command}: ")
        assert start in line


def test_a_file_with_a_mistake_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"run": {"name": "a"}, "data": {"manifest": "m"}, "train": {"stepz": 2}}))

    with pytest.raises(ConfigError, match=rf"^{path}: train.stepz: unknown key; did you mean 'steps'\?"):
        parse(COMMANDS["pretrain"], [str(path)])


@pytest.mark.parametrize("task", TASKS)
def test_every_score_of_a_task_may_rank_a_sweep(task):
    for score in TASKS[task].scores:
        assert parse(COMMANDS["tune"], [f"evaluate.task={task}", f"metric='{score}'"]).metric == score


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_known_wherever_one_is_named(preset):
    assert parse(COMMANDS["evaluate"], [*EVALUATE, f"preset={preset}"]).preset == preset
    assert parse(COMMANDS["pretrain"], [*PRETRAIN, PROBE, f"probe.evaluate.preset={preset}"]).probe.evaluate.preset
    assert parse(COMMANDS["tune"], [f"evaluate.preset={preset}"]).evaluate.preset == preset
