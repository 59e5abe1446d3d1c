"""What the commands read and write beside shards, on an S3 server: through eleven faults, and refused in one line."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import types
import uuid

import pytest

from ray_jobs import evaluate, export, report
from tests.integration.runs import ROOT
from tests.integration.s3_faults import FAULTS
from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.distributed import tune
from videomac.errors import StorageError
from videomac.pretrain import checkpoint
from videomac.report.evaluation import write_evaluation_report
from videomac.storage import copies, entries, lease
from videomac.storage.checksums import sha256_of
from videomac.storage.entries import Patience
from videomac.storage.storage import Storage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
RUN = "s3://data/run"


@pytest.fixture(scope="module")
def run(s3_client, tmp_path_factory):
    """A run folder with one checkpoint, metrics and a list of events, also at `s3://data/run`."""
    folder = tmp_path_factory.mktemp("s3") / "run"
    settings = make_settings()
    checkpoint.save(make_state(settings), folder / "checkpoints" / "step_0000010")
    (folder / "config.yaml").write_text(settings.to_yaml())
    lines = [{"step": step, "loss": 2.0 / step, "pairs_per_s": 10.0} for step in range(1, 11)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "events.jsonl").write_text('{"event": "attempt", "attempt": 1, "step": 0}\n')
    for path in folder.rglob("*"):
        if path.is_file():
            s3_client.put_object(Bucket="data", Key=f"run/{path.relative_to(folder)}", Body=path.read_bytes())
    return folder


@pytest.fixture(autouse=True)
def store(run, s3_proxy, monkeypatch):
    """The environment that the commands find, and limits as short as the proxy's faults."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_proxy.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(entries, "DEFAULT_PATIENCE", Patience(deadline_s=30.0, attempt_s=1.0))
    s3_proxy.everywhere = True


def fresh(name: str) -> str:
    """A folder of the bucket that no other test writes to."""
    return f"s3://data/{name}-{uuid.uuid4().hex[:8]}"


def export_it(source: str = RUN, root: str | None = None) -> None:
    out = f"{root or fresh('export')}/export"
    assert export.main([source, out]) == 0
    card = json.loads(copies.read_file(f"{out}/card.json"))
    assert sha256_of(copies.read_file(f"{out}/model.safetensors")) == card["weights_sha256"]


def report_it(source: str = RUN, root: str | None = None) -> None:
    assert report.main([root or source]) == 0
    page = copies.read_file(f"{root or source}/report.html").decode()
    assert "step 10 of 10" in page or "finished" in page
    assert "unreadable" not in page


def hold_the_lease(source: str = "", root: str | None = None) -> None:
    folder = root or fresh("lease")
    with lease.held(folder, on_lost=lambda: None, say=lambda text: None, heartbeat_s=2.0, expiry_s=20.0) as mine:
        time.sleep(2.5)
        assert b'"beats"' in Storage(folder).read(lease.FILE)
    assert not mine.lost


def conclude_a_sweep(source: str = "", root: str | None = None) -> None:
    """What `videomac tune` itself writes, after trials that Ray Tune ran."""
    name = uuid.uuid4().hex[:8]
    tree = {"name": name, "storage": root or "s3://data/sweeps", "space": {"model.mask_ratio": [0.5, 0.75]}}
    tree |= {"pretrain": make_settings().model_dump(mode="json"), "evaluate": {"data": {"root": "unused"}}}
    results = tune.run_sweep(config.validate(config.Tune, tree, "test"))
    place = f"{tree['storage']}/{name}"
    assert json.loads(copies.read_file(f"{place}/results.json"))["best"] == results.best == "second"
    assert b"second" in copies.read_file(f"{place}/report.html")


def report_an_evaluation(source: str, root: str) -> None:
    write_evaluation_report(root)


def evaluate_it(source: str, root: str) -> None:
    evaluate.main([source, f"out={root}", "data.root=samples://davis"])


@pytest.fixture(autouse=True)
def finished_trials(monkeypatch):
    """Stands for Ray Tune: two trials that have ended."""
    metrics = [{"trial_id": "first", "J&F-Mean": 0.25}, {"trial_id": "second", "J&F-Mean": 0.5}]
    trials = [
        types.SimpleNamespace(metrics=values, config={"model.mask_ratio": ratio}, error=None)
        for values, ratio in zip(metrics, (0.5, 0.75), strict=True)
    ]
    monkeypatch.setattr(tune, "_tuner", lambda *_: types.SimpleNamespace(fit=lambda: trials))
    monkeypatch.setattr(tune, "connected", contextlib.nullcontext)
    monkeypatch.setattr(tune, "_check_data", lambda config: None)


@pytest.mark.slow
@pytest.mark.parametrize("command", [export_it, report_it, hold_the_lease, conclude_a_sweep])
def test_each_command_is_right_through_all_eleven_faults(s3_proxy, s3_client, command):
    s3_proxy.share = 0.2
    for _ in range(20):
        command()
        if set(s3_proxy.injected) == set(FAULTS):
            break
    assert set(s3_proxy.injected) == set(FAULTS)
    assert not s3_client.list_multipart_uploads(Bucket="data").get("Uploads")


@pytest.mark.slow
def test_an_export_an_evaluation_and_a_report_on_a_store_from_end_to_end(s3_proxy, sample_davis):
    """The commands as they are, in processes of their own; a share of the evaluation's requests fails."""
    out = fresh("line")
    command = [sys.executable, "-m"]
    subprocess.run([*command, "ray_jobs.export", RUN, f"{out}/export"], cwd=ROOT, check=True)
    s3_proxy.share, s3_proxy.hang_s = 0.2, 7.0
    words = [f"{out}/export", "--davis", str(sample_davis), "--preset", "crw-240p", "--out", f"{out}/evaluation"]
    subprocess.run([*command, "ray_jobs.evaluate", *words, "data.resolution=240p"], cwd=ROOT, check=True)
    s3_proxy.share = 0.0
    assert len(s3_proxy.injected) > 5
    results = json.loads(copies.read_file(f"{out}/evaluation/results.json"))
    assert set(results["rows"][0]["clips"]) == {"dog", "blackswan"}
    assert copies.exists(f"{out}/evaluation/pictures/dog.mp4")
    subprocess.run([*command, "ray_jobs.report", f"{out}/evaluation"], cwd=ROOT, check=True)
    assert b"VideoMAC ConvNeXtV2-S (published)" in copies.read_file(f"{out}/evaluation/report.html")


def without_credentials(s3_proxy, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def denied(s3_proxy, monkeypatch):
    s3_proxy.draw = lambda request: "denied"


def away(s3_proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(entries, "DEFAULT_PATIENCE", Patience(deadline_s=1.0, attempt_s=5.0))


def missing(s3_proxy, monkeypatch):
    """The tests name another bucket."""


TROUBLES = [
    (denied, r"denied \(403\); check AWS_ACCESS_KEY_ID"),
    (missing, "does not exist; check bucket|no such folder|neither a checkpoint folder|neither a timm name"),
    (without_credentials, "no credentials; set AWS_ACCESS_KEY_ID"),
    (away, "the server cannot be reached or broke off; check AWS_ENDPOINT_URL"),
]


@pytest.mark.parametrize(("trouble", "message"), TROUBLES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("command", [export_it, report_it, evaluate_it])
def test_a_command_that_is_refused_ends_in_one_line(s3_proxy, monkeypatch, capsys, command, trouble, message):
    source = "s3://no-such-bucket/run" if trouble is missing else RUN
    trouble(s3_proxy, monkeypatch)
    with pytest.raises(SystemExit) as stopped:
        command(source, source)
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert said.count("\n") == 1, said
    assert re.search(message, said), said
    assert "no-such-bucket" in said or "data/run" in said


@pytest.mark.parametrize(("trouble", "message"), TROUBLES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("command", [hold_the_lease, conclude_a_sweep, report_an_evaluation])
def test_a_part_that_is_refused_is_one_error_of_one_line(s3_proxy, monkeypatch, command, trouble, message):
    trouble(s3_proxy, monkeypatch)
    with pytest.raises(StorageError, match=message) as error:
        command("", "s3://no-such-bucket/run" if trouble is missing else "s3://data/refused")
    assert "\n" not in str(error.value)
