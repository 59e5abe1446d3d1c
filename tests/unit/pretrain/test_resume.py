"""What may change between attempts, and what is another run."""

from __future__ import annotations

import pytest

from tests.unit.pretrain.conftest import make_settings, make_state
from videomac import config
from videomac.errors import CheckpointError, ConfigError
from videomac.pretrain.resume import OPERATIONAL, check_resumable, refuse_other_config
from videomac.records.checkpoint import CheckpointState, DataFacts
from videomac.storage.run_folder import RunFolder

FACTS = DataFacts(manifest_sha256="abc", decoder="pyav 14")


def saved_by(state) -> CheckpointState:
    """What a checkpoint of the state says."""
    return CheckpointState(
        **FACTS.model_dump(), step=0, rows_used=0, bad_rows=0, skipped_steps=0, optimizer_steps=0, batch_size=4,
        micro_steps=1, config=state.settings.model_dump(mode="json"), config_hash="abc",
    )  # fmt: skip


def claimed(tmp_path, settings):
    folder = RunFolder(str(tmp_path), "run")
    folder.write("config.yaml", settings.to_yaml().encode())
    return folder


def test_another_run_is_refused_with_every_differing_key(tmp_path):
    folder = claimed(tmp_path, make_settings())

    with pytest.raises(
        ConfigError, match=r"model\.mask_ratio: 0\.5 -> 0\.75; optim\.blr: 0\.001 -> 0\.002; .*run\.name"
    ):
        refuse_other_config(folder, make_settings(model__mask_ratio=0.75, optim__blr=0.002))


def test_operational_keys_may_change(tmp_path):
    folder = claimed(tmp_path, make_settings())

    assert refuse_other_config(
        folder, make_settings(workers__count=3, train__micro_batch=2, log__every_steps=1, data__manifest="moved")
    )


def test_a_new_folder_holds_no_run(tmp_path):
    assert not refuse_other_config(RunFolder(str(tmp_path), "run"), make_settings())


def test_every_operational_key_exists():
    for section, keys in OPERATIONAL.items():
        fields = config.Pretrain.model_fields[section].annotation
        for key in keys:
            assert key in fields.model_fields, f"{section}.{key}"


@pytest.mark.parametrize(
    ("saved", "changes", "message"),
    [
        ({"manifest_sha256": "other"}, {}, "data.manifest: the run started with shards other"),
        ({"decoder": "torchcodec 1"}, {}, "data.decoder: the run started with torchcodec 1, now it is pyav 14"),
        (
            {"micro_steps": 4},
            {"optim__ema_every": "micro_step"},
            "started with 4 micro-steps per step, now there would be 1",
        ),
    ],
)
def test_what_the_configuration_does_not_tell_is_compared_too(saved, changes, message):
    state = make_state(make_settings(**changes))
    known = saved_by(state)
    check_resumable(state, known, FACTS)

    with pytest.raises(CheckpointError, match=message):
        check_resumable(state, known.model_copy(update=saved), FACTS)


def test_another_decoder_can_be_allowed():
    state = make_state(make_settings(data__allow_decoder_change=True))

    check_resumable(state, saved_by(state).model_copy(update={"decoder": "pyav 13"}), FACTS)
