"""Lines while clips are scored."""

from __future__ import annotations

from tests.unit.evaluation.material import RAW, prepared
from videomac.evaluation.progress import Progress

UNTRAINED = {"label": "untrained", "source": "random", "model": "resnet18", "seeds": [0, 1]}


def test_a_line_for_every_job(davis, tmp_path, capsys):
    evaluation = prepared(davis, tmp_path / "out", features=[RAW[0], UNTRAINED])
    colour, untrained = list(evaluation.jobs())[:2]
    progress = Progress(3, evaluation.headline)
    progress.scored(colour, {"J&F-Mean": 0.51234})
    progress.failed(untrained, "the reason")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("evaluate: 1 of 3 | colour, dog: J&F-Mean 0.512 | 0:0")
    assert first.endswith(" left")
    assert second.startswith("evaluate: 2 of 3 | untrained, seed 0, dog: not scored | ")
    assert third == "untrained, dog: not scored: the reason"
