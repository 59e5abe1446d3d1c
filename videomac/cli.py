"""The commands: `videomac NAME [CONFIG] [key=value ...]`, and the aliases that some keys have.

One table serves the parser, the documentation and the tests. A word that ends in .yaml is the CONFIG, a word like
`a.b=value` an override; any other word fills the next of the command's positional keys.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from videomac.config.base import Section, load, section_type
from videomac.config.data import BuildShards, Shards
from videomac.config.evaluate import Evaluate
from videomac.config.outputs import Export, Report
from videomac.config.pretrain import Pretrain
from videomac.config.tune import Quickstart, Tune
from videomac.errors import ConfigError, VideomacError

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
    """Option -> overrides that it stands for; `{}` is its value, `{text}` its value as a string whatever it looks
    like (without either the option is a switch)."""
    default_config: str | None = None
    """Config that is read when none is named."""

    @property
    def usage(self) -> str:
        """The command's words in one line, as the documentation shows them."""
        words = [f"[{key.rsplit('.', 1)[-1].upper()}]" for key in self.positional]
        flags = [f"[{flag}{' VALUE' if takes_value(keys) else ''}]" for flag, keys in self.options.items()]
        return " ".join([self.name, "[CONFIG.yaml]", *words, *flags, "[key=value ...]"])


def takes_value(overrides: tuple[str, ...]) -> bool:
    """Whether an option has a value of its own."""
    return any("{" in override for override in overrides)


def _task(name: str) -> tuple[str, ...]:
    return (f"task={name}", "data.root={text}")


COMMANDS: dict[str, Command[Any]] = {
    command.name: command
    for command in (
        Command(
            "quickstart",
            Quickstart,
            "the whole line on shipped clips: shards, pretraining, export, evaluation, report",
            options={"--fresh": ("fresh=true",)},
            default_config="configs/quickstart.yaml",
        ),
        Command("build-shards", BuildShards, "videos to WebDataset shards, manifest and index", ("source", "out")),
        Command("index-shards", Shards, "manifest and index for tars that others made", ("manifest",)),
        Command("verify-shards", Shards, "check counts, checksums and a decoded sample of each shard", ("manifest",)),
        Command(
            "show-shards",
            Shards,
            "summary, and a page of frame pairs as training sees them",
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
        Command("export", Export, "a checkpoint's encoder for timm, Hugging Face or ONNX", ("checkpoint", "out")),
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
    """Parses the words of command `name` and yields its checked configuration.

    Turns a `VideomacError` of the body into one line on standard error and the error's exit code; an interrupt into
    130. Any other exception is a bug and keeps its traceback.
    """
    try:
        yield parse(COMMANDS[name], sys.argv[1:] if argv is None else argv)
    except VideomacError as error:
        print(f"videomac {name}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        print(f"videomac {name}: interrupted; the same command goes on where it was", file=sys.stderr)
        raise SystemExit(130) from None


def parse(command: Command[S], argv: Sequence[str]) -> S:
    """The configuration that the words `argv` of a command describe.

    Raises:
        ConfigError: a word that has no meaning, or a configuration that cannot be run.
    """
    given = _parser(command).parse_intermixed_args(list(argv))
    config, overrides = command.default_config, []
    free_keys = list(command.positional)
    for word in given.words:
        if OVERRIDE.match(word):
            overrides.append(word)
        elif word.endswith((".yaml", ".yml")):
            config = word
        elif free_keys:
            overrides.append(f"{free_keys.pop(0)}={json.dumps(word)}")
        else:
            raise ConfigError(f"{word!r} is no CONFIG.yaml and no key=value; usage: videomac {command.usage}")
    for flag, meanings in command.options.items():
        value = getattr(given, flag.lstrip("-").replace("-", "_"))
        if value not in (None, False):
            overrides += [meaning.format(value, text=json.dumps(value)) for meaning in meanings]
    return load(command.schema, config, overrides)


def _parser(command: Command[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"videomac {command.name}",
        usage=f"videomac {command.usage}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog="keys:\n" + "\n".join(describe_keys(command.schema)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help="CONFIG.yaml, overrides key=value, positional keys", metavar="WORD")
    for flag, overrides in command.options.items():
        help_text = "same as " + " ".join(overrides).replace("{}", "VALUE").replace("{text}", "VALUE")
        if takes_value(overrides):
            parser.add_argument(flag, metavar="VALUE", help=help_text)
        else:
            parser.add_argument(flag, action="store_true", help=help_text)
    return parser


def describe_keys(schema: type[Section], prefix: str = "") -> list[str]:
    """One line for each key below a section: dotted name, default, and the text it is documented with."""
    lines: list[str] = []
    for name, field in schema.model_fields.items():
        inner = section_type(field.annotation)
        if inner is not None and not isinstance(field.default, tuple):
            lines += describe_keys(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"default {field.default!r}"
        lines.append(f"  {prefix}{name} ({default}): {' '.join((field.description or '').split())}")
    return lines
