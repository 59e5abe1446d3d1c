"""What a command looks at where it starts: inputs that are not there, and places that would not outlive a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videomac.cli import COMMANDS, job, parse
from videomac.config import check_inputs, refuse_throwaway_places, with_absolute_places
from videomac.config.preflight import JOB_VARIABLE, in_uploaded_folder
from videomac.errors import ConfigError

IN_A_JOB = {JOB_VARIABLE: json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}, "metadata": {}})}
PRETRAIN = ["run.name=a", "data.manifest=/d/m.json", "train.steps=2"]

RELATIVE = [
    ("pretrain", PRETRAIN, "run.storage: 'runs'"),
    ("pretrain", [*PRETRAIN, "run.storage=./elsewhere"], "run.storage: './elsewhere'"),
    ("tune", [], "storage: 'runs'"),
    ("quickstart", [], "pretrain.run.storage: 'runs'"),
    ("evaluate", ["data.root=/d"], "out: 'runs/evaluation'"),
    ("build-shards", ["videos", "/out"], "source: 'videos'"),
    ("build-shards", ["/videos", "out"], "out: 'out'"),
    ("show-shards", ["/m.json"], "out: 'shards.html'"),
    ("index-shards", ["tars"], "tars: 'tars'"),
    ("export", ["/run", "exported"], "out: 'exported'"),
    ("report", ["runs/a"], "run: 'runs/a'"),
]
ABSOLUTE = [
    ("pretrain", [*PRETRAIN, "run.storage=s3://bucket/runs"]),
    ("pretrain", [*PRETRAIN, "run.storage=/runs", "probe={evaluate: {data: {root: d}}}"]),
    ("pretrain", [*PRETRAIN, "run.storage=~/runs"]),
    ("tune", ["storage=/runs"]),
    ("quickstart", ["pretrain.run.storage=/runs"]),
    ("evaluate", ["data.root=/d", "out=/e"]),
    ("build-shards", ["samples://clips", "/out"]),
    ("show-shards", ["/m.json", "--out", "/page.html"]),
    ("verify-shards", ["m.json"]),
    ("index-shards", ["s3://bucket/tars"]),
    ("export", ["/run", "/exported"]),
    ("report", ["/runs/a"]),
]


@pytest.mark.parametrize(("command", "words", "start"), RELATIVE)
def test_a_relative_place_is_refused_in_a_submitted_job(command, words, start, monkeypatch, capsys):
    for name, value in IN_A_JOB.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as left, job(command, words):
        pytest.fail("the command must not start")

    line = capsys.readouterr().err
    assert left.value.code == 2
    assert line.startswith(f"videomac {command}: {start} is relative; in a submitted job it lies in")
    assert "give an absolute path on storage that all nodes share, or s3://..." in line
    assert line.count("\n") == 1


def test_every_command_that_writes_is_tried():
    assert {command for command, *_ in RELATIVE} == set(COMMANDS) - {"verify-shards"}


@pytest.mark.parametrize(("command", "words"), ABSOLUTE)
def test_places_that_outlive_the_job_are_taken(command, words):
    assert refuse_throwaway_places(parse(COMMANDS[command], words), IN_A_JOB) is None


@pytest.mark.parametrize(("command", "words", "start"), RELATIVE)
def test_outside_a_job_relative_places_are_taken(command, words, start):
    assert refuse_throwaway_places(parse(COMMANDS[command], words), {}) is None


@pytest.mark.parametrize(
    ("environment", "folder", "expected"),
    [
        ({}, "/home/me", False),
        (IN_A_JOB, "/home/me", True),
        ({}, "/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_28e6/sub", True),
        ({JOB_VARIABLE: '{"runtime_env": {}, "metadata": {}}'}, "/home/me", False),
        ({JOB_VARIABLE: '{"runtime_env": null}'}, "/home/me", False),
        ({JOB_VARIABLE: "not JSON"}, "/home/me", False),
    ],
)
def test_how_a_throwaway_working_folder_is_recognised(environment, folder, expected):
    assert in_uploaded_folder(environment, Path(folder)) is expected


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("build-shards", ["/nowhere", "out"], "^source: '/nowhere' does not exist$"),
        ("build-shards", ["nowhere", "out"], r"^source: 'nowhere' does not exist \(looked in /"),
        ("build-shards", ["samples://clip", "out"], "samples://clips and samples://davis ship with videomac"),
        ("evaluate", ["data.root=/nowhere"], "^data.root: '/nowhere' does not exist$"),
        ("evaluate", ["data.root=samples://davis", "features=[{label: a, source: timm, model: b, weights: /w.pth}]"],
         "^features.0.weights: '/w.pth' does not exist$"),
        ("pretrain", [*PRETRAIN, "data.manifest=/nowhere/manifest.json"], "^data.manifest: '/nowhere/manifest.json'"),
        ("tune", ["pretrain.data.manifest=/no"], "^pretrain.data.manifest: '/no'"),
        ("tune", ["pretrain.data.manifest=s3://b/m", "evaluate.data.root=/no"], "^evaluate.data.root: '/no'"),
        ("quickstart", ["shards.source=/no"], "^shards.source: '/no'"),
        ("verify-shards", ["/no"], "^manifest: '/no'"),
    ],
)  # fmt: skip
def test_an_input_that_is_not_there_is_named(command, words, message):
    with pytest.raises(ConfigError, match=message):
        check_inputs(parse(COMMANDS[command], words))


def test_inputs_that_are_there_or_elsewhere_are_taken(tmp_path):
    check_inputs(parse(COMMANDS["quickstart"], []))  # the manifest is what its first stage makes
    check_inputs(parse(COMMANDS["build-shards"], ["s3://bucket/videos", "out"]))
    check_inputs(parse(COMMANDS["evaluate"], [f"data.root={tmp_path}"]))


def test_the_section_that_is_checked_is_part_of_the_key():
    with pytest.raises(ConfigError, match=r"^probe\.evaluate\.data\.root: '/no' does not exist"):
        check_inputs(parse(COMMANDS["evaluate"], ["data.root=/no"]), "probe.evaluate")


def test_home_is_meant_by_a_tilde_and_relative_places_are_those_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    command = ["~/clips", "shards out", "shard_mb=1"]

    found = with_absolute_places(parse(COMMANDS["build-shards"], command))

    assert (found.source, found.out, found.shard_mb) == (f"{tmp_path}/clips", f"{tmp_path}/shards out", 1.0)
    remote = parse(COMMANDS["build-shards"], ["s3://a/~b", "s3://c/d"])
    assert with_absolute_places(remote) is remote
    assert remote.source == "s3://a/~b"
