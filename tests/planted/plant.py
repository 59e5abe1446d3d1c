"""Applies each planted mistake to a copy of the tree and runs the test that has to see it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
PARTS = ("videomac", "shards", "ray_jobs", "configs", "tests", "pyproject.toml")


def patches() -> dict[str, Path]:
    """Name of each planted mistake and its patch file."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}


def guarding_test(patch: Path) -> str:
    """The test that must fail: the patch's first line, `# test: PATH::NAME`."""
    first = patch.read_text().splitlines()[0]
    if not first.startswith("# test: "):
        raise ValueError(f"{patch}: the first line must be '# test: PATH::NAME', found {first!r}")
    return first.removeprefix("# test: ").strip()


def run_test(tree: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Runs one test inside a copy of the tree, on that copy's code."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    return subprocess.run(words, cwd=tree, capture_output=True, text=True, timeout=300, check=False)


def is_seen(patch: Path) -> bool:
    """Whether the named test passes as the tree is and fails with the mistake."""
    test = guarding_test(patch)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, tree / part)
        sound = run_test(tree, test)
        if sound.returncode != 0:
            raise RuntimeError(f"{test} fails without any mistake:\n{sound.stdout[-2000:]}")
        subprocess.run(["git", "apply", str(patch)], cwd=tree, check=True, capture_output=True)
        return run_test(tree, test).returncode == 1


def main(names: list[str]) -> int:
    """Plants the named mistakes, or all; returns 1 if one goes unseen."""
    unseen = []
    for name, patch in patches().items():
        if names and name not in names:
            continue
        seen = is_seen(patch)
        print(f"{name}: {'seen' if seen else 'NOT SEEN'} by {guarding_test(patch)}", flush=True)
        unseen += [] if seen else [name]
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
