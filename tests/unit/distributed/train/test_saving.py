"""When a checkpoint is scored, and what it is called."""

from __future__ import annotations

import json

from tests.unit.distributed.train.boards import LocalBoard
from tests.unit.pretrain.conftest import make_settings
from videomac.config import Probe
from videomac.distributed.train import saving as saving_module
from videomac.distributed.train.records import Records
from videomac.distributed.train.saving import Probes, Saving

EVALUATE = {"preset": "crw-240p", "data": {"root": "samples://davis"}}
PROBE = Probe.model_validate_json(json.dumps({"every_checkpoints": 2, "max_share": 0.5, "evaluate": EVALUATE}))


def test_without_a_probe_no_checkpoint_is_scored():
    assert not Probes(None, LocalBoard()).next(finished=True)


def test_every_second_checkpoint_is_scored_within_the_probe_s_share_of_time(monkeypatch):
    now, board = [100.0], LocalBoard()
    monkeypatch.setattr(saving_module.time, "monotonic", lambda: now[0])
    probes = Probes(PROBE, board)
    now[0] += 10

    assert [bool(probes.next(finished=False)) for _ in range(4)] == [False, True, False, True]
    board.post({"probe_s": 6.0})  # more than half of the ten seconds
    assert [bool(probes.next(finished=False)) for _ in range(2)] == [False, False]
    assert [bool(probes.next(finished=True)) for _ in range(2)] == [False, True], "the last checkpoint is always scored"


def test_a_name_that_a_damaged_checkpoint_has_is_not_used_again(tmp_path):
    records = Records(make_settings(run__storage=str(tmp_path)), LocalBoard(), leads=True)

    saving = Saving(records, Probes(None, LocalBoard()), ["step_0000004", "step_0000008", "step_0000008_2"])

    assert [saving._free_name(step) for step in (4, 8, 12, 12)] == [
        "step_0000004_2", "step_0000008_3", "step_0000012", "step_0000012_2"
    ]  # fmt: skip
