"""Wrong configurations: one readable line each, with the dotted key, what came and what is allowed."""

from pathlib import Path

import pytest
import yaml

from videomac.cli import COMMANDS
from videomac.config import Pretrain, Quickstart, Section, Tune, differing_keys, filled, load
from videomac.config.base import section_type
from videomac.errors import ConfigError
from videomac.facts.shipped import config_folder
from videomac.pretrain.resume import refuse_other_run

ROOT = Path(__file__).resolve().parents[3]
GOOD = {"run": {"name": "a"}, "data": {"manifest": "m.json"}, "train": {"steps": 2}}


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    return str(path)


def refusal(path: str | None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Pretrain, path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_typo_is_answered_with_the_key_that_was_meant(good):
    message = refusal(good, "model.mask_rato=0.5")

    assert "model.mask_rato: unknown key; did you mean 'mask_ratio'? (known here: encoder, cell, mask_ratio," in message


def test_a_number_that_yaml_reads_as_a_string_is_answered_with_how_to_write_it(good):
    message = refusal(good, "optim.blr=3e-4")

    assert 'optim.blr: expected a valid number, got "3e-4" (string)' in message
    assert message.endswith("YAML reads 3e-4 as a string: write 3.0e-4")


def test_a_wrong_type_is_shown_with_its_value(good):
    assert refusal(good, "train.steps=many").endswith('train.steps: expected a valid integer, got "many" (string)')


def test_an_impossible_value_states_both_counts(good):
    message = refusal(good, "model.mask_ratio=0.99")

    assert "keeps int(49 * (1 - 0.99)) = 0 visible; expected 1 to 48" in message


def test_a_missing_path_lists_the_shipped_configs():
    assert "nowhere.yaml: no such file; shipped configs: configs/" in refusal("nowhere.yaml")


def test_a_required_key_that_is_missing_is_named(tmp_path):
    assert "data.manifest: required" in refusal(None, "run.name=a", "train.steps=2", "data.decoder=pyav")


def test_groups_that_would_straddle_workers_are_refused(good):
    assert "data.pairs_per_open: 4 must divide" in refusal(good, "data.pairs_per_open=4", "train.micro_batch=6")


def test_a_file_that_is_no_yaml_or_no_mapping_is_refused(tmp_path):
    broken, listing = tmp_path / "broken.yaml", tmp_path / "list.yaml"
    broken.write_text("a: [1, ")
    listing.write_text("- 1")

    assert "not valid YAML" in refusal(str(broken))
    assert "expected a mapping" in refusal(str(listing))


def test_overrides_win_over_the_file_and_lists_pass_as_tuples(good):
    config = load(Pretrain, good, ["train.steps=7", "data.gap_s=[0.2, 0.3]"])

    assert config.train.steps == 7
    assert config.data.gap_s == (0.2, 0.3)


def test_the_hash_follows_the_values_and_not_how_they_were_given(good):
    assert load(Pretrain, good, ["train.steps=7"]).config_hash() != load(Pretrain, good).config_hash()
    assert load(Pretrain, good, ["train.steps=2"]).config_hash() == load(Pretrain, good).config_hash()


def test_what_is_written_is_read_back_equal(good, tmp_path):
    config = load(Pretrain, good)
    (tmp_path / "again.yaml").write_text(config.to_yaml())

    assert load(Pretrain, str(tmp_path / "again.yaml")) == config


def test_differing_keys_are_dotted_leaves():
    assert differing_keys({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}) == ["a.b: 1 -> 3"]


def test_the_quickstarts_places_follow_from_its_run_section():
    config = load(Quickstart, "configs/quickstart.yaml", ["pretrain.run.storage=elsewhere", "pretrain.run.name=q"])

    assert config.shards.out == "elsewhere/q/shards"
    assert config.pretrain.data.manifest == "elsewhere/q/shards/manifest.json"
    assert config.evaluate.model == "elsewhere/q/export"


def sections(schema: type[Section]) -> set[type[Section]]:
    inner = {section_type(field.annotation) for field in schema.model_fields.values()} - {None}
    return {schema}.union(*(sections(child) for child in inner))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_every_key_is_documented_where_it_is_declared(command):
    sectionless = (
        f"{schema.__name__}.{name}"
        for schema in sections(command.schema)
        for name, field in schema.model_fields.items()
        if not field.description and section_type(field.annotation) is None
    )

    assert not list(sectionless)


def schema_of(path: Path) -> type[Section]:
    folder = path.relative_to(config_folder()).parts[0]
    by_folder = {"pretrain": "pretrain", "tune": "tune", "propagation": "evaluate", "quickstart.yaml": "quickstart"}
    return COMMANDS[by_folder[folder]].schema


SHIPPED = sorted(p for p in config_folder().rglob("*.yaml") if "cluster" not in p.parts)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(config_folder())))
def test_every_shipped_config_can_be_read(path):
    needed = {"pretrain": ["data.manifest=m.json"], "propagation": ["data.root=d"]}
    config = load(schema_of(path), str(path), needed.get(path.parent.name, []))

    assert config.config_hash()


def test_a_repeated_grid_has_a_seed_for_each_repeat():
    once = load(Tune, "configs/tune/mask_momentum.yaml", [])
    twice = load(Tune, "configs/tune/mask_momentum.yaml", ["samples=2", "pretrain.run.seed=5"])

    assert once.searched == once.space
    assert twice.searched == twice.space | {"run.seed": [5, 6]}


OLD_RUN = ROOT / "tests" / "fixtures" / "config_66eb288.yaml"


def test_what_an_older_version_wrote_is_the_same_run():
    old = yaml.safe_load(OLD_RUN.read_text())
    words = ["data.manifest=runs/quickstart/shards/manifest.json", "run.name=old"]
    now = load(Pretrain, "configs/pretrain/laptop.yaml", words)

    refuse_other_run("old", old, now)
    refuse_other_run("old", old, load(Pretrain, str(OLD_RUN)))
    with pytest.raises(ConfigError, match=r"model\.decoder_dim: 256 -> 128"):
        refuse_other_run("old", old, now.with_values(**{"model.decoder_dim": 128}))


def test_keys_that_an_older_version_did_not_know_count_as_their_defaults():
    now = load(Pretrain, "configs/pretrain/laptop.yaml", ["data.manifest=m.json"])
    older = now.plain()
    del older["data"]["gap_s"], older["model"]["encoder"]["drop_path"], older["optim"]["clip_norm"]

    assert differing_keys(filled(Pretrain, older), now.plain()) == []
    refuse_other_run("older", older, now)
    with pytest.raises(ConfigError, match=r"data\.gap_s"):
        refuse_other_run("older", older, now.with_values(**{"data.gap_s": [0.2, 0.5]}))
