"""Results of a sweep: what is written is read back, and files of version 66eb288 are read."""

from __future__ import annotations

import json

from videomac.records.sweep import Results, Trial

OLD = {
    "name": "mask", "metric": "J&F-Mean", "best": "a", "config_hash": "abc", "commit": None, "machine": "2 x x86_64",
    "versions": {"torch": "2.6"},
    "trials": [
        {"name": "a", "values": {"optim.ema_momentum": [0.9, 1.0]}, "status": "finished", "error": None,
         "scores": {"J&F-Mean": 0.5}, "run_folder": "runs/a", "seconds": 60.0},
        {"name": None, "values": {"model.mask_ratio": 0.5}, "status": "error", "error": "worker lost",
         "scores": {}, "run_folder": None, "seconds": None},
    ],
}  # fmt: skip


def test_results_come_back_as_they_were_written() -> None:
    trial = Trial(name="a", values={"model.mask_ratio": 0.5}, status="finished", scores={"mIoU": 0.25}, seconds=3.0)
    results = Results(name="one", metric="mIoU", best="a", trials=(trial,), versions={"torch": "2.6"})
    assert Results.from_json(results.to_json(), "results.json") == results


def test_files_of_the_version_before_are_read() -> None:
    results = Results.from_json(json.dumps(OLD), "results.json")
    assert json.loads(results.to_json()) == OLD
    assert results.trials[0].values == {"optim.ema_momentum": [0.9, 1.0]}
