"""The best checkpoint survives whatever comes after it."""

from __future__ import annotations

import json

from videomac.distributed.train.probe import keep_best
from videomac.storage.run_folder import RunFolder


def test_only_a_higher_score_replaces_the_best(tmp_path):
    folder = RunFolder(str(tmp_path), "run")
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text(name)

    kept = [keep_best(folder, name, tmp_path / name, score) for name, score in (("a", 0.5), ("b", 0.4), ("c", 0.6))]

    assert kept == [True, False, True]
    assert json.loads((tmp_path / "run/best/best.json").read_text()) == {"name": "c", "score": 0.6}
    assert (tmp_path / "run/best/c/state.json").read_text() == "c"
    assert not list((tmp_path / "run/best").glob("a/*"))
