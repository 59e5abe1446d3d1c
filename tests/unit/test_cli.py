"""The command line: one grammar, one table of commands, the same in the parser, the documentation and `ray_jobs`."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from ray_jobs import cli
from videomac.cli import COMMANDS, parse
from videomac.config import refuse_throwaway_places
from videomac.config.preflight import JOB_VARIABLE
from videomac.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_that_says_how_it_is_submitted(name):
    module = importlib.import_module("ray_jobs." + name.replace("-", "_"))

    assert callable(module.main)
    assert f"-- python -m ray_jobs.{name.replace('-', '_')}" in module.__doc__


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_the_keys(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])

    assert left.value.code == 0
    assert "keys:" in capsys.readouterr().out


def test_the_documented_table_is_the_parsers():
    rows = re.findall(r"^\| `videomac (.+?)` \|", (ROOT / "docs" / "commands.md").read_text(), flags=re.MULTILINE)

    assert rows == [command.usage for command in COMMANDS.values()]


def shown_commands():
    """Every `videomac ...` or `python -m ray_jobs...` line of the code blocks in README and docs, continued joined."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in page.read_text().split("```")[1::2]:
            for line in block.replace("\\\n", " ").splitlines():
                command = re.match(r"\s*(?:videomac |(?:ray job submit .* -- )?python -m ray_jobs\.)(.*)", line)
                if command and "[CONFIG" not in line:
                    found.append((page.name, shlex.split(command[1], comments=True)))
    return found


@pytest.mark.parametrize(("page", "words"), shown_commands())
def test_a_documented_command_is_one_that_the_parser_takes(page, words):
    command = COMMANDS[words[0].replace("_", "-")]

    assert isinstance(parse(command, words[1:]), command.schema)


def submitted_commands():
    """The command of every `ray job submit ...` in README, docs and the modules' docstrings."""
    texts = [path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    texts += [importlib.import_module("ray_jobs." + name.replace("-", "_")).__doc__ for name in COMMANDS]
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    found = [re.match(r"\s*ray job submit .* -- python -m ray_jobs\.(.*)", line) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


@pytest.mark.parametrize("words", submitted_commands(), ids=lambda words: words[0])
def test_a_submitted_command_leaves_nothing_in_the_working_folder_of_the_job(words):
    command = COMMANDS[words[0].replace("_", "-")]

    in_a_job = {JOB_VARIABLE: '{"runtime_env": {"working_dir": "gcs://a.zip"}}'}

    assert refuse_throwaway_places(parse(command, words[1:]), in_a_job) is None


def test_every_command_is_shown_as_it_is_submitted():
    assert {words[0] for words in submitted_commands()} >= {name.replace("-", "_") for name in COMMANDS}


def test_positional_words_and_options_are_aliases_of_keys():
    by_alias = parse(COMMANDS["evaluate"], ["exported", "--davis", "2017", "--stage", "2"])
    by_keys = parse(COMMANDS["evaluate"], ["model=exported", "task=davis", "data.root='2017'", "stage=2"])

    assert by_alias == by_keys


def test_a_positional_word_stays_a_string_whatever_it_looks_like():
    config = parse(COMMANDS["build-shards"], ["2017", "3.0", "fps=24.0"])

    assert (config.source, config.out, config.fps) == ("2017", "3.0", 24.0)


def test_a_word_too_many_is_refused_with_the_usage():
    with pytest.raises(ConfigError, match=r"'c' is neither a CONFIG.yaml .* usage: videomac build-shards"):
        parse(COMMANDS["build-shards"], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "--preste", "crw"], "unknown option '--preste'; did you mean '--preset'? (known: --davis"),
        (["evaluate", "--pre=hidden"], "unknown option '--pre'"),
        (["evaluate", "--stage"], "argument --stage: expected one argument; usage: videomac evaluate [CONFIG.yaml]"),
        (["quickstart", "--fresher"], "unknown option '--fresher'; did you mean '--fresh'?"),
    ],
)
def test_a_wrong_option_is_one_line_without_its_value(words, message, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(words)

    line = capsys.readouterr().err
    assert left.value.code == 2
    assert line.startswith(f"videomac {words[0]}: {message}")
    assert line.count("\n") == 1
    assert "hidden" not in line


def test_help_lists_the_keys_of_each_candidate_and_defaults_as_yaml_has_them(capsys):
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])

    shown = capsys.readouterr().out
    assert "features.N.source (required)" in shown
    assert "preset (default null)" in shown
    assert "gpu (default false)" in shown


def test_an_unknown_command_names_the_known_ones(capsys):
    assert cli.main(["pretain"]) == 2
    assert "unknown command 'pretain'; did you mean 'pretrain'? (known: quickstart" in capsys.readouterr().err


def test_a_config_error_is_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["pretrain", "run.name=a", "data.manifst=x"])

    lines = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2
    assert len(lines) == 1
    assert "data.manifst: unknown key; did you mean 'manifest'?" in lines[0]
