"""Apply each planted mistake to a copy of the tree and run the test that must fail."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
PARTS = ("videomac", "shards", "ray_jobs", "configs", "tests", "pyproject.toml")
OPTIONS = "--strict-markers --import-mode=importlib"


def patches() -> dict[str, Path]:
    """Return the patch file of each planted mistake by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}


def guarding_test(patch: Path) -> str:
    """Return the test that must fail: the first line of the patch, `# test: PATH::NAME`."""
    first = patch.read_text().splitlines()[0]
    if not first.startswith("# test: "):
        raise ValueError(f"{patch}: the first line must be '# test: PATH::NAME', found {first!r}")
    return first.removeprefix("# test: ").strip()


def run_tests(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests inside a copy of the tree, on its code and without type checks: the values must show the mistake."""
    words = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"addopts={OPTIONS}", *tests]
    return subprocess.run(words, cwd=tree, capture_output=True, text=True, timeout=300, check=False)


@contextlib.contextmanager
def sound_copy() -> Iterator[Path]:
    """Yield a copy of the tree in which every guarding test passes."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, tree / part)
        sound = run_tests(tree, *map(guarding_test, patches().values()))
        if sound.returncode != 0:
            raise RuntimeError(f"a guarding test fails without any mistake:\n{sound.stdout[-2000:]}")
        yield tree


def is_seen(tree: Path, patch: Path) -> bool:
    """Return whether the named test fails while the mistake is in the tree; take the mistake out again."""
    subprocess.run(["git", "apply", str(patch)], cwd=tree, check=True, capture_output=True)
    try:
        return run_tests(tree, guarding_test(patch)).returncode == 1
    finally:
        subprocess.run(["git", "apply", "--reverse", str(patch)], cwd=tree, check=True, capture_output=True)


def main(names: list[str]) -> int:
    """Plant the named mistakes, or all; return 1 if one goes unseen."""
    unseen = []
    with sound_copy() as tree:
        for name, patch in patches().items():
            if names and name not in names:
                continue
            seen = is_seen(tree, patch)
            print(f"{name}: {'seen' if seen else 'NOT SEEN'} by {guarding_test(patch)}", flush=True)
            unseen += [] if seen else [name]
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
