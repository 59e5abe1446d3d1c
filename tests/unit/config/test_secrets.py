"""Secrets are kept in memory and shown nowhere: not in dumps, hashes, errors, nor by `repr`."""

from __future__ import annotations

import pickle
import sys

import pytest
import yaml

from videomac.cli import COMMANDS, job, parse
from videomac.config import BuildShards, Pretrain, StorageOptions, Tune, differing_keys, hold_secrets, load
from videomac.errors import ConfigError
from videomac.storage.entries import Patience
from videomac.storage.object_files import ObjectFiles

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"
KEY = "AKIAIOSFODNN7EXAMPLE"
INLINE = [f"data.storage_options.key={KEY}", f"data.storage_options.secret={SECRET}"]
BY_NAME = ["data.storage_options.key_env=MY_KEY", "data.storage_options.secret_env=MY_SECRET"]
RUN = ["run.name=a", "data.manifest=s3://bucket/manifest.json", "train.steps=2"]


def pretrain(*overrides: str) -> Pretrain:
    return load(Pretrain, None, [*RUN, *overrides])


def shows_nothing(text: str) -> bool:
    return SECRET not in text and KEY not in text


def test_an_inline_secret_is_used_and_never_shown():
    config = pretrain(*INLINE, "data.storage_options.endpoint_url=http://minio:9000")
    options = config.data.storage_options

    assert options.resolved() == {"endpoint_url": "http://minio:9000", "key": KEY, "secret": SECRET}
    for text in (config.to_yaml(), config.canonical_json(), config.model_dump_json(), str(config.model_dump()),
                 repr(config), str(config), repr(options), str(config.plain())):  # fmt: skip
        assert shows_nothing(text)
    assert yaml.safe_load(config.to_yaml())["data"]["storage_options"] == {
        "endpoint_url": "http://minio:9000", "key": "***", "secret": "***",
    }  # fmt: skip


def test_the_hash_depends_on_no_access_options():
    hashes = {pretrain(*overrides).config_hash() for overrides in ((), INLINE, BY_NAME)}

    assert len(hashes) == 1
    assert '"storage_options":{}' in pretrain(*INLINE).canonical_json()


def test_a_copy_with_other_values_keeps_the_secret_in_memory():
    config = pretrain(*INLINE).with_values(**{"train.steps": 3})

    assert config.data.storage_options.resolved() == {"key": KEY, "secret": SECRET}
    assert pickle.loads(pickle.dumps(config)).data.storage_options.resolved() == {"key": KEY, "secret": SECRET}


def test_variables_are_named_in_files_and_held_for_other_machines(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_SECRET", SECRET)
    held = hold_secrets(pretrain(*BY_NAME))
    monkeypatch.delenv("MY_KEY")
    monkeypatch.delenv("MY_SECRET")
    sent = pickle.loads(pickle.dumps(held.with_values(**{"train.steps": 3})))

    assert sent.data.storage_options.resolved() == {"key": KEY, "secret": SECRET}
    assert yaml.safe_load(sent.to_yaml())["data"]["storage_options"] == {"key_env": "MY_KEY", "secret_env": "MY_SECRET"}
    assert shows_nothing(sent.to_yaml())


def test_a_variable_that_is_not_set_ends_the_command_with_its_name(monkeypatch, capsys):
    monkeypatch.delenv("MY_KEY", raising=False)

    with pytest.raises(SystemExit) as left, job("pretrain", [*RUN, *BY_NAME]):
        pytest.fail("the command must not start")

    assert left.value.code == 2
    assert (
        "pretrain: data.storage_options.key_env: the environment variable MY_KEY is not set; export it"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words", [INLINE, [f"data.storage_options={{key: {KEY}, secret: '{SECRET}'}}"], ["data.manifest=s3://u:pass@b/m"]]
)
def test_the_words_of_the_process_hold_no_secret_once_they_are_parsed(words, monkeypatch):
    given = [*RUN, *words]
    monkeypatch.setattr(sys, "argv", ["videomac", "pretrain", *given])

    with job("pretrain", given) as config:
        assert shows_nothing(" ".join(sys.argv))
        assert "u:pass" not in " ".join(sys.argv)
        assert len(sys.argv) == len(given) + 2

    assert config.run.name == "a"


def test_a_profile_is_only_a_name():
    options = pretrain("data.storage_options.profile=work").data.storage_options

    assert options.resolved() == {"profile": "work"}


def test_a_written_file_resumes_with_secrets_from_the_command_line_or_the_environment(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(pretrain(*INLINE).to_yaml())

    assert load(Pretrain, str(path)).data.storage_options == StorageOptions()
    again = load(Pretrain, str(path), INLINE)
    assert again.data.storage_options.resolved() == {"key": KEY, "secret": SECRET}
    with pytest.raises(ConfigError, match=r"data\.storage_options\.key: required beside secret; give key or key_env"):
        load(Pretrain, str(path), INLINE[1:])


@pytest.mark.parametrize(
    "words",
    [
        [f"data.storage_options={SECRET}"],
        [f"data.storage_options.secret=[{SECRET}]"],
        [f"data.storage_options.secret_env={SECRET}"],
        [f"data.storage_options.key=[{KEY}"],
        [f'data.storage_options.secret="{SECRET}'],
        [f"data.storage_options.secret={{a: {SECRET}}}"],
        [*INLINE, f"data.image_size={SECRET}"],
        [f"data.storage_options.token={SECRET}"],
        ["data.storage_options.secret=''", f"data.storage_options.key={KEY}"],
        [f"data.manifest=[https://{KEY}:{SECRET}@host/manifest.json]"],
        [f"data.manifest=[https://host/manifest.json?X-Amz-Signature={KEY}]"],
        [f"data.secret={SECRET}"],
    ],
)
def test_no_error_message_shows_a_secret(words):
    with pytest.raises(ConfigError) as caught:
        parse(COMMANDS["pretrain"], [*RUN, *words])

    chain: list[BaseException] = [caught.value]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    assert shows_nothing(str(caught.value))
    assert all(shows_nothing(str(error)) for error in chain if not isinstance(error, yaml.YAMLError))


def test_credentials_within_urls_are_masked_wherever_the_configuration_is_written():
    url = f"https://user:{SECRET}@host/videos?X-Amz-Signature={KEY}&part=1"
    config = load(BuildShards, None, [f"source={url}", f"out={url}", f"storage_options.endpoint_url={url}"])
    masked = "https://***@host/videos?X-Amz-Signature=***&part=1"

    assert (config.source, config.storage_options.resolved()["endpoint_url"]) == (url, url)
    assert config.plain()["source"] == config.plain()["out"] == masked
    assert config.plain()["storage_options"] == {"endpoint_url": masked}
    assert shows_nothing(config.to_yaml() + repr(config) + config.canonical_json())
    assert config.with_values(shard_mb=2.0).source == url
    assert differing_keys({"source": url}, {"source": ""}) == [f"source: {masked!r} -> ''"]


def test_secrets_below_every_section_are_held(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_SECRET", SECRET)
    config = hold_secrets(
        load(Tune, "configs/tune/mask_momentum.yaml", [f"pretrain.{override}" for override in BY_NAME])
    )
    monkeypatch.delenv("MY_KEY")
    monkeypatch.delenv("MY_SECRET")

    trial = config.trial_config({"model.mask_ratio": 0.5})

    assert trial.data.storage_options.resolved() == {"key": KEY, "secret": SECRET}
    assert shows_nothing(config.to_yaml() + trial.to_yaml())


def test_public_buckets_are_read_without_credentials_or_at_ones_own_cost():
    public = load(BuildShards, None, ["source=s3://a", "out=b", "storage_options={anonymous: true}"])
    assert public.storage_options.resolved() == {"anonymous": "true"}
    assert public.storage_options.model_dump() == {"anonymous": True}
    paid = load(BuildShards, None, ["source=s3://a", "out=b", "storage_options={requester_pays: true, profile: p}"])
    assert paid.storage_options.resolved() == {"profile": "p", "requester_pays": "true"}
    with pytest.raises(ConfigError, match=r"storage_options\.anonymous: true leaves no room for credentials"):
        load(BuildShards, None, ["source=s3://a", "out=b", "storage_options={anonymous: true, profile: p}"])


def test_requests_are_made_as_the_options_say():
    files = ObjectFiles("s3://bucket", {"anonymous": "true"}, Patience())
    assert (files._fs.anon, files._fs.req_kw) == (True, {})
    files = ObjectFiles("s3://bucket", {"requester_pays": "true"}, Patience())
    assert (files._fs.anon, files._fs.req_kw) == (False, {"RequestPayer": "requester"})
