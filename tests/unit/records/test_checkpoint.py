"""The JSON files of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from videomac.config import Pretrain
from videomac.records.checkpoint import CheckpointFiles, CheckpointState

OLD = Path(__file__).parents[2] / "fixtures/run_66eb288"


def test_the_state_of_version_66eb288_is_read_and_written_as_it_was():
    content = (OLD / "state.json").read_text()

    state = CheckpointState.from_json(content, "state.json")

    assert json.loads(state.to_json()) == json.loads(content)
    assert (state.step, state.manifest_sha256, state.scaler) == (4, "fc6bf85d1381", {})
    assert Pretrain.model_validate_json(json.dumps(state.config)).run.name == "slow"


def test_keys_of_other_versions_are_ignored():
    content = json.loads((OLD / "state.json").read_text()) | {"moon": "full"}

    assert CheckpointState.from_json(json.dumps(content), "state.json").step == 4


def test_the_scaler_s_counters_stay_integers():
    content = json.loads((OLD / "state.json").read_text()) | {"scaler": {"scale": 65536.0, "growth_interval": 2000}}

    state = CheckpointState.from_json(json.dumps(content), "state.json")

    assert isinstance(state.scaler["growth_interval"], int)


def test_the_hashes_of_version_66eb288_are_read():
    files = CheckpointFiles.from_json((OLD / "files.json").read_text(), "files.json")

    assert files.format == 1
    assert set(files.sha256) == {"online.safetensors", "target.safetensors", "optimizer.safetensors", "state.json"}
