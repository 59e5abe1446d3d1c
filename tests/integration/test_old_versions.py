"""What commit 66eb288 wrote can still be read, resumed, exported, evaluated and shown.

`tests/fixtures/version_66eb288.tar.xz` is a quickstart, an interrupted pretraining and a sweep of that commit (see
tests/fixtures/README.md). Tests without a marker are quick and belong to the unit part.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.make_version_66eb288 import TUNE
from tests.unit.data.material import recipe_for
from videomac import config
from videomac.pretrain import checkpoint
from videomac.pretrain.resume import check_resumable
from videomac.pretrain.setup import build_state, derive_extent
from videomac.pretrain.step import train_step
from videomac.records import evaluation, events, ledger, metrics, quickstart, sweep
from videomac.records.base import Record
from videomac.records.card import Card
from videomac.records.checkpoint import CheckpointFiles, CheckpointState, DataFacts

QUICKSTART = "runs/quickstart"
INTERRUPTED = "runs/interrupted"
CHECKPOINT = f"{INTERRUPTED}/checkpoints/step_0000004"
SWEEP = "runs/sweep"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory, fixtures) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fixtures / "version_66eb288.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(unpacked, monkeypatch) -> Path:
    """The folder in which the old version ran; its configurations name relative paths. Not for writing."""
    monkeypatch.chdir(unpacked)
    return unpacked


@pytest.fixture
def old_copy(unpacked, tmp_path, monkeypatch) -> Path:
    """The same for tests that write."""
    shutil.copytree(unpacked, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def expected(old) -> dict:
    return json.loads((old / "expected.json").read_text())


def read_json(path: Path | str) -> dict:
    return json.loads(Path(path).read_text())


def read_lines(path: Path | str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def rows_from(settings: config.Pretrain, start: int, stop: int, batch_rows: int):
    from videomac.data.in_process import iterate
    from videomac.data.plan import read_plan

    return iterate(read_plan(settings.data, settings.run.seed), recipe_for(settings), start, stop, batch_rows)


def as_record(record: type[Record]) -> Callable[[bytes, str], object]:
    return record.from_json


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        ("runs/*/metrics.jsonl", metrics.parse_line),
        ("runs/sweep/trials/*/metrics.jsonl", metrics.parse_line),
        ("runs/*/events.jsonl", events.parse_event),
        ("runs/*/ledger/*_start.json", as_record(ledger.LedgerStart)),
        ("runs/*/ledger/*.jsonl", as_record(ledger.LedgerLine)),
        ("runs/*/checkpoints/*/state.json", as_record(CheckpointState)),
        ("runs/*/checkpoints/*/files.json", as_record(CheckpointFiles)),
        ("runs/quickstart/export/card.json", as_record(Card)),
        ("runs/sweep/trials/*/export/card.json", as_record(Card)),
        ("runs/quickstart/evaluation/results.json", as_record(evaluation.Results)),
        ("runs/sweep/trials/*/evaluation/results.json", as_record(evaluation.Results)),
        ("runs/quickstart/evaluation/clips/*/*/*.json", as_record(evaluation.ClipRecord)),
        ("runs/quickstart/results.json", as_record(quickstart.Results)),
        ("runs/sweep/results.json", as_record(sweep.Results)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_file_is_the_record_that_is_read_today(old, pattern, read):
    paths = sorted(old.glob(pattern))
    assert paths
    for path in paths:
        content = path.read_bytes()
        for part in content.splitlines() if path.suffix == ".jsonl" else [content]:
            event = read(part, str(path))
            assert type(event) is not events.Event, f"{path}: an event of a kind that is not known any more"


def test_manifest_and_index_give_the_same_rows(old, expected):
    settings = config.load(config.Pretrain, f"{INTERRUPTED}/config.yaml")

    (batch,) = rows_from(settings, 0, 12, 12)

    assert batch.keys == [row["key"] for row in expected["rows"]]
    assert batch.cells_bk.tolist() == [row["cells"] for row in expected["rows"]]
    means = batch.frames_b2hwc.double().mean((1, 2, 3, 4)).tolist()
    assert means == pytest.approx([row["mean"] for row in expected["rows"]], abs=0.5)  # decoders round differently


def test_a_checkpoint_goes_on_with_the_same_losses(old, expected):
    from videomac.data.open_clip import decoder_version
    from videomac.data.plan import read_plan

    settings = config.load(config.Pretrain, f"{INTERRUPTED}/config.yaml", ["data.allow_decoder_change=true"])
    plan = read_plan(settings.data, settings.run.seed)
    state = build_state(settings, derive_extent(settings, plan.rows_per_epoch, world=1), torch.device("cpu"))
    torch.manual_seed(1)  # whatever a new state holds is replaced

    saved = checkpoint.load(state, CHECKPOINT)

    decoder = decoder_version(settings.data.decoder)
    check_resumable(state, saved, DataFacts(manifest_sha256=plan.digest, decoder=decoder))
    assert (state.step, state.rows_used) == (4, 32)
    batches = rows_from(settings, 32, 48, 4)
    losses = [train_step(state, batches).loss for _ in range(2)]
    assert losses == pytest.approx([expected["losses"][step] for step in ("5", "6")], rel=1e-4)


def test_the_ledger_holds_every_row_up_to_the_checkpoint(old):
    from videomac.pretrain.ledger import read_ledger
    from videomac.storage.run_folder import RunFolder

    first = read_ledger(RunFolder("runs", "interrupted"))[0].up_to(4)

    assert first is not None
    assert (first.first_step, first.last_step, first.start, first.end, first.bad) == (1, 4, 0, 32, [])


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        (QUICKSTART, ("convnextv2_atto", "colour", "data:image/", "66eb288")),
        (INTERRUPTED, ("convnextv2_atto", "step")),
        (f"{QUICKSTART}/evaluation", ("blackswan", "colour", "crw-240p")),
        (SWEEP, ("model.mask_ratio", "0.75")),
    ],
)
def test_a_page_can_be_made_of_it(old, folder, shown, capsys):
    from ray_jobs import report

    assert report.main([folder]) == 0

    page = (old / folder / "report.html").read_text()
    assert [text for text in shown if text not in page] == []
    assert "Cannot be read" not in page
    assert capsys.readouterr().out.strip().endswith("report.html")


def test_the_page_of_a_sweep_shows_the_scores_of_its_trials(old):
    from ray_jobs import report

    report.main([SWEEP])

    page = (old / SWEEP / "report.html").read_text()
    for trial in read_json(f"{SWEEP}/results.json")["trials"]:
        assert trial["name"] in page
        assert f"{trial['scores']['J&F-Mean']:.3f}" in page


def test_the_numbers_of_the_whole_line_are_summarised_again(old):
    from videomac.report.summary import summarise

    before, now = read_json(f"{QUICKSTART}/results.json"), summarise(QUICKSTART).to_plain()

    assert now["training"] == pytest.approx(before["training"])
    assert list(now["data"].values()) == list(before["data"].values())  # their names are text for readers
    assert now["features"] == before["features"]


def test_a_checkpoint_gives_the_same_export(old, tmp_path):
    from ray_jobs import export

    assert export.main([QUICKSTART, f"{tmp_path}/export"]) == 0

    before, now = read_json(f"{QUICKSTART}/export/card.json"), read_json(tmp_path / "export" / "card.json")
    assert now["weights_sha256"] == before["weights_sha256"]
    assert set(before) <= set(now)


def test_an_export_gives_the_same_features(old, expected):
    from videomac.propagation.extractors import extract
    from videomac.propagation.load import load_extractor

    chosen = config.Candidate(label="old", source="export", model=f"{QUICKSTART}/export")
    frame_hwc = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)

    (x_cyx,) = extract(load_extractor(chosen, stage=1), [frame_hwc])

    assert x_cyx[:8, [0, 3, 7], [0, 5, 11]].flatten().tolist() == pytest.approx(expected["features"], abs=1e-4)


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_an_interrupted_run_is_resumed_by_the_same_command(ray_cluster, old_copy, expected):
    from ray_jobs import pretrain

    # The shared cluster was started elsewhere, where actors look for relative paths.
    manifest = f"data.manifest={old_copy}/{QUICKSTART}/shards/manifest.json"

    assert pretrain.main([f"{INTERRUPTED}/config.yaml", "data.allow_decoder_change=true", manifest]) == 0

    logged = {str(line["step"]): line["loss"] for line in read_lines(f"{INTERRUPTED}/metrics.jsonl")}
    assert set(map(str, range(1, 25))) <= set(logged)
    assert [logged[step] for step in ("5", "6", "7")] == pytest.approx(
        [expected["losses"][step] for step in ("5", "6", "7")], rel=1e-4
    )
    attempts = [event for event in read_lines(f"{INTERRUPTED}/events.jsonl") if event["event"] == "attempt"]
    assert [event["rows"] for event in attempts] == [0, 32]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_finished_quickstart_keeps_shards_and_weights(ray_cluster, old_copy, capsys):
    from ray_jobs import quickstart

    before = read_json(f"{QUICKSTART}/evaluation/results.json")

    assert quickstart.main([f"{QUICKSTART}/quickstart.yaml"]) == 0

    said = capsys.readouterr().out
    assert "finished at step 4; nothing to do" in said
    after = read_json(f"{QUICKSTART}/evaluation/results.json")
    for old_row, new_row in zip(before["rows"], after["rows"], strict=True):
        assert new_row["scores"] == pytest.approx(old_row["scores"], abs=1e-3)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_finished_sweep_keeps_its_trials(ray_cluster, old_copy):
    from ray_jobs import tune

    before = read_json(f"{SWEEP}/results.json")

    assert tune.main(TUNE) == 0

    after = read_json(f"{SWEEP}/results.json")
    assert after["best"] == before["best"]
    for old_trial, new_trial in zip(before["trials"], after["trials"], strict=True):
        assert new_trial["name"] == old_trial["name"]
        assert new_trial["scores"] == pytest.approx(old_trial["scores"])
        assert new_trial["seconds"] == old_trial["seconds"]  # not run again
