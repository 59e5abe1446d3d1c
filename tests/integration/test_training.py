"""Training under Ray Train on a local cluster: a run that loses a worker, against a run that does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.runs import (
    assert_each_row_used_once,
    committed,
    events,
    kill_once_committed,
    losses,
    make_settings,
    when,
)
from videomac.errors import ConfigError
from videomac.facts.heap import FREED_MEMORY_STAYS
from videomac.records.events import Attempt, WorkerStarted

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def straight(sample_shards, tmp_path_factory):
    """An undisturbed run of 20 steps on two workers: its settings and its folder."""
    from videomac.distributed.train.launch import pretrain

    storage = tmp_path_factory.mktemp("runs")
    settings = make_settings(sample_shards, storage, "straight", train__steps=20, checkpoint__every_steps=10)
    return settings, Path(pretrain(settings).folder)


def environment_of_rank_0(folder: Path) -> dict[str, str]:
    """What its process was started with."""
    (pid,) = [event.pid for event in events(folder, WorkerStarted) if event.rank == 0]
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_a_killed_worker_changes_no_row_and_no_bit(straight, tmp_path):
    """A worker is killed halfway through 20 steps; the report of the run is written while it runs."""
    from videomac.distributed.train.launch import pretrain
    from videomac.report.pages import write_report

    settings = straight[0].with_values(**{"run.name": "killed", "run.storage": str(tmp_path)})
    folder, pages, environments = tmp_path / "killed", [], []
    killer = kill_once_committed(folder, "step_0000010", logged=11)
    looker = when(lambda: 3 in losses(folder), lambda: environments.append(environment_of_rank_0(folder)))
    reporter = when(lambda: "step_0000010" in committed(folder), lambda: pages.append(write_report(str(folder))))

    result = pretrain(settings)

    killer.join(timeout=1)
    reporter.join(timeout=10)
    assert [attempt.step for attempt in events(folder, Attempt)] == [0, 10]
    expected = {step: set(values) for step, values in losses(straight[1]).items()}
    done = losses(folder)
    assert {step: set(values) for step, values in done.items()} == expected
    assert len(done[11]) == 2, "once before the kill and once after"
    assert_each_row_used_once(settings)
    assert (result.metrics["rows"], result.was_finished) == (160, False)
    looker.join(timeout=1)
    assert environments[0].items() >= FREED_MEMORY_STAYS.items(), "memory that a step frees stays with the worker"
    assert pages
    assert Path(pages[0]).stat().st_size > 10_000


def test_a_finished_run_ends_at_once_and_a_different_config_is_refused(straight, capsys):
    from videomac.distributed.train.launch import pretrain

    settings, folder = straight
    begin = time.monotonic()

    again = pretrain(settings)

    assert again.was_finished
    assert time.monotonic() - begin < 5
    assert f"{folder}: finished at step 20; nothing to do" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"model\.mask_ratio: 0\.5 -> 0\.75; optim\.blr: 0\.05 -> 0\.1"):
        pretrain(settings.with_values(**{"model.mask_ratio": 0.75, "optim.blr": 0.1}))
