"""The picture for the README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from videomac.report.hero import hero_picture


def drawn(run: Path, folder: Path) -> np.ndarray:
    path = hero_picture(str(run), str(folder / "hero.png"))
    assert path is not None
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_finished_run_has_a_wide_picture(make_run: Callable[[], Path], tmp_path: Path) -> None:
    picture = drawn(make_run(), tmp_path)
    assert picture.shape[1] == 1800
    assert 500 < picture.shape[0] < 1800
    margin = picture[:, -15:]
    assert (margin == 255).all(), "pictures end at the margin"


def test_half_a_run_gives_half_a_picture_and_an_empty_one_none(make_run: Callable[[], Path], tmp_path: Path) -> None:
    folder = make_run()
    whole = drawn(folder, tmp_path).shape[0]
    (folder / "evaluation" / "results.json").unlink()
    assert drawn(folder, tmp_path).shape[0] < whole
    for path in (folder / "pictures").iterdir():
        path.unlink()
    (tmp_path / "hero.png").unlink()
    assert hero_picture(str(folder), str(tmp_path / "hero.png")) is None
    assert not (tmp_path / "hero.png").exists()
