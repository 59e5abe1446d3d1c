"""The built wheel holds everything that runs without a checkout: packages, shipped configs, samples."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
IN_AN_EMPTY_FOLDER = """
import videomac
from pathlib import Path
from ray_jobs.cli import main
from videomac.config import BuildShards, Quickstart, load
from videomac.facts.shipped import SAMPLES, config_folder
quickstart = load(Quickstart, "configs/quickstart.yaml", [])
print(Path(videomac.__file__).parent, config_folder(), len(list((SAMPLES / "clips").iterdir())), quickstart.folder)
main(["build-shards", "samples://clips", "shards", "short_side=64", "reencode=true"])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel's files, laid out as pip would install them."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--quiet", "-w", str(folder)]
    subprocess.run(words, check=True, timeout=200)
    (wheel,) = folder.glob("videomac-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_shipped_clips_become_shards_in_an_empty_folder(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IN_AN_EMPTY_FOLDER], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
        timeout=200, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{installed}/videomac {installed}/videomac/_configs 10 runs/quickstart")
    assert (tmp_path / "shards" / "manifest.json").is_file()


def test_type_checkers_find_our_annotations(installed):
    assert (installed / "videomac/py.typed").is_file()
