"""The commands: `videomac NAME [CONFIG] [key=value ...]`, and the aliases of some keys.

One table serves the parser, the documentation and the tests. A word that ends in .yaml is the CONFIG and a word like
`a.b=value` an override; any other word fills the next of the command's positional keys.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from videomac.config.base import Section, load, section_type
from videomac.config.data import BuildShards, IndexShards, ShowShards, VerifyShards
from videomac.config.evaluate import Evaluate
from videomac.config.outputs import Export, Report
from videomac.config.preflight import refuse_throwaway_places
from videomac.config.pretrain import Pretrain
from videomac.config.secrets import hold_secrets
from videomac.config.tune import Quickstart, Tune
from videomac.errors import ConfigError, VideomacError
from videomac.facts.names import unknown
from videomac.redaction import redacted

S = TypeVar("S", bound=Section)
OVERRIDE = re.compile(r"^[A-Za-z_][\w.]*=")


@dataclasses.dataclass(frozen=True)
class Command(Generic[S]):
    """One command: what it does, the keys it takes, and other ways to write some of them."""

    name: str
    schema: type[S]
    summary: str
    positional: tuple[str, ...] = ()
    """Keys that plain words fill, in this order."""
    options: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Overrides that an option stands for: `{}` is its value, `{text}` its value as a string whatever it looks like;
    without either the option is a switch."""
    default_config: str | None = None
    """Config that is read if none is named."""

    @property
    def usage(self) -> str:
        """Words of the command in one line, as the documentation shows them."""
        words = [f"[{key.rsplit('.', 1)[-1].upper()}]" for key in self.positional]
        flags = [f"[{flag}{' VALUE' if takes_value(keys) else ''}]" for flag, keys in self.options.items()]
        return " ".join([self.name, "[CONFIG.yaml]", *words, *flags, "[key=value ...]"])


def takes_value(overrides: tuple[str, ...]) -> bool:
    """Return whether an option takes a value."""
    return any("{" in override for override in overrides)


def _task(name: str) -> tuple[str, ...]:
    return (f"task={name}", "data.root={text}")


COMMANDS: dict[str, Command[Any]] = {
    command.name: command
    for command in (
        Command(
            "quickstart",
            Quickstart,
            "run everything on shipped clips: shards, pretraining, export, evaluation, report",
            options={"--fresh": ("fresh=true",)},
            default_config="configs/quickstart.yaml",
        ),
        Command(
            "build-shards", BuildShards, "turn videos into WebDataset shards, manifest and index", ("source", "out")
        ),
        Command("index-shards", IndexShards, "write manifest and index for tars that others made", ("tars",)),
        Command(
            "verify-shards",
            VerifyShards,
            "check counts, checksums and a decoded sample of each shard",
            ("manifest",),
        ),
        Command(
            "show-shards",
            ShowShards,
            "print a summary, and draw frame pairs as training sees them",
            ("manifest",),
            {"--out": ("out={text}",)},
        ),
        Command("pretrain", Pretrain, "pretrain an encoder on shards; the same config resumes"),
        Command(
            "tune",
            Tune,
            "sweep pretraining settings, scored by label propagation",
            default_config="configs/tune/mask_momentum.yaml",
        ),
        Command("export", Export, "save a checkpoint's encoder for timm, Hugging Face or ONNX", ("checkpoint", "out")),
        Command(
            "evaluate",
            Evaluate,
            "score a backbone by label propagation",
            ("model",),
            {
                **{f"--{task}": _task(task) for task in ("davis", "vip", "jhmdb", "masks", "keypoints")},
                "--preset": ("preset={text}",),
                "--stage": ("stage={}",),
                "--out": ("out={text}",),
            },
        ),
        Command("report", Report, "write report.html of a run (finished or not), a sweep or an evaluation", ("run",)),
    )
}


@contextlib.contextmanager
def job(name: str, argv: Sequence[str] | None) -> Iterator[Any]:
    """Parse the words of command `name` and yield its checked configuration, with secrets in memory.

    A `VideomacError` of the body becomes one line on standard error and the error's exit code; an interrupt becomes
    exit code 130. Any other exception is a bug and keeps its traceback.
    """
    try:
        config = parse(COMMANDS[name], sys.argv[1:] if argv is None else argv)
        sys.argv[1:] = map(redacted, sys.argv[1:])  # W&B writes it down, in this process too
        refuse_throwaway_places(config)
        yield hold_secrets(config)
    except VideomacError as error:
        print(f"videomac {name}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        print(f"videomac {name}: interrupted; run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None


def parse(command: Command[S], argv: Sequence[str]) -> S:
    """Return the configuration that the words `argv` of a command describe.

    Raises:
        ConfigError: a word has no meaning, or the configuration cannot be run.
    """
    given = _parser(command).parse_intermixed_args(list(argv))
    config, overrides = command.default_config, []
    free_keys = list(command.positional)
    for word in given.words:
        if OVERRIDE.match(word):
            overrides.append(word)
        elif word.endswith((".yaml", ".yml")):
            config = os.path.expanduser(word)
        elif free_keys:
            overrides.append(f"{free_keys.pop(0)}={json.dumps(word)}")
        else:
            raise ConfigError(f"{word!r} is neither a CONFIG.yaml nor key=value; usage: videomac {command.usage}")
    for flag, meanings in command.options.items():
        value = getattr(given, flag.lstrip("-").replace("-", "_"))
        if value not in (None, False):
            overrides += [meaning.format(value, text=json.dumps(value)) for meaning in meanings]
    return load(command.schema, config, overrides)


class _Parser(argparse.ArgumentParser):
    """argparse's parser, whose mistakes are one line like any other, without the values of options."""

    def __init__(self, command: Command[Any], **keywords: Any) -> None:
        super().__init__(**keywords)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Raise `ConfigError` instead of leaving the process."""
        option = next((word for word in message.split() if word.startswith("--")), None)
        if "unrecognized" in message and option is not None:
            message = unknown("option", option.partition("=")[0], [*self._command.options, "--help"])
        raise ConfigError(f"{message}; usage: {self.usage}")


def _parser(command: Command[Any]) -> _Parser:
    parser = _Parser(
        command,
        prog=f"videomac {command.name}",
        usage=f"videomac {command.usage}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog="keys:\n" + "\n".join(describe_keys(command.schema)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "words", nargs="*", help="CONFIG.yaml, key=value, or the value of a positional key", metavar="WORD"
    )
    for flag, overrides in command.options.items():
        help_text = "same as " + " ".join(overrides).replace("{}", "VALUE").replace("{text}", "VALUE")
        if takes_value(overrides):
            parser.add_argument(flag, metavar="VALUE", help=help_text)
        else:
            parser.add_argument(flag, action="store_true", help=help_text)
    return parser


def describe_keys(schema: type[Section], prefix: str = "") -> list[str]:
    """Return a line for each key below a section: dotted name, default, and its documentation."""
    lines: list[str] = []
    for name, field in schema.model_fields.items():
        inner = section_type(field.annotation)
        if inner is not None and not isinstance(field.default, tuple):
            lines += describe_keys(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"default {json.dumps(field.default)}"
        lines.append(f"  {prefix}{name} ({default}): {' '.join((field.description or '').split())}")
        if (item := section_type(field.annotation)) is not None:
            lines += describe_keys(item, f"{prefix}{name}.N.")
    return lines
