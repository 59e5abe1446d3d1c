"""The console script `videomac NAME ...`: find the command and call the `main` of its module in `ray_jobs`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from videomac import __version__
from videomac.cli import COMMANDS
from videomac.facts.names import unknown

HELP = "\n".join(
    [
        "usage: videomac COMMAND [CONFIG.yaml] [key=value ...]    (videomac COMMAND --help lists its keys)",
        "",
        "Pretrain ConvNet backbones on video and measure them by label propagation.",
        "",
        *(f"  {command.name:<15}{command.summary}" for command in COMMANDS.values()),
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(HELP)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"videomac {__version__}")
        return 0
    if words[0] not in COMMANDS:
        print(f"videomac: {unknown('command', words[0], COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module("ray_jobs." + words[0].replace("-", "_"))
    return module.main(words[1:])


if __name__ == "__main__":
    sys.exit(main())
