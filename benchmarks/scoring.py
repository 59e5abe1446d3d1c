"""J and F of DAVIS against a transcription of the official toolkit, on real masks.

    python benchmarks/scoring.py [--quick]

Masks are those of the multi-object case that ships with the tests (480 x 854, two sequences of four objects, the
prediction shifted by 3 rows and 2 columns); both must give the official scores to 1e-6. One process, one thread.
The toolkit dilates with OpenCV; without OpenCV the transcription uses SciPy, about ten times slower (the table says
which). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rows import Row, finish

from tests.reference import propagation as published
from videomac.propagation import metrics
from videomac.propagation.boundaries import boundary_f
from videomac.propagation.masks import VOID

ROOT = Path(__file__).resolve().parent.parent
AT_LEAST = 5.0
SEQUENCES = ("bmx-trees", "motocross-jump")


def main() -> int:
    """Print the table and the line of JSON; return 1 if the ratio or the scores are not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no difference: it takes seconds anyway")
    parser.parse_args()
    expected = json.loads((ROOT / "tests/fixtures/official_scores.json").read_text())[
        "shifted_by_dy3_dx2_on_multi_object"
    ]
    objects = {key: pairs for name in SEQUENCES for key, pairs in _pairs(name).items()}
    ours, ours_s = _score(objects, metrics.jaccard, boundary_f)
    theirs, theirs_s = _score(objects, published.iou, lambda truth, found: published.f_measure(found, truth))
    apart = max(abs(scores[key] - expected[key]) for scores in (ours, theirs) for key in scores)
    row = Row(
        "J and F, 480p, 4 objects",
        theirs_s / ours_s,
        f"transcription of the toolkit ({'OpenCV' if published.cv2 else 'SciPy'} dilation)",
        AT_LEAST,
        {"ours_s": round(ours_s, 3), "theirs_s": round(theirs_s, 3), "largest_difference_to_official": apart},
        right=apart <= 1e-6,
    )
    return finish("scoring", [row])


def _pairs(name: str) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return truth and prediction of every object and scored frame as boolean masks."""
    files = sorted((ROOT / "tests/fixtures/davis_truth" / name).glob("*.png"))
    truth = np.stack([np.array(Image.open(file)) for file in files])
    found = np.zeros_like(truth)
    found[:, 3:, 2:] = truth[:, :-3, :-2]
    objects = range(1, int(truth[0][truth[0] != VOID].max()) + 1)
    return {f"{name}_{o}": [(a == o, b == o) for a, b in zip(truth[1:-1], found[1:-1], strict=True)] for o in objects}


def _score(objects: dict[str, list[tuple[np.ndarray, np.ndarray]]], jaccard: Any, boundary_f: Any) -> Any:
    """Return the totals, and the seconds of the fastest of three runs."""
    times, per_object = [], {}
    for _ in range(3):
        begin = time.perf_counter()
        per_object = {
            name: metrics.davis_object(
                np.array([jaccard(*pair) for pair in pairs]), np.array([boundary_f(*pair) for pair in pairs])
            )
            for name, pairs in objects.items()
        }
        times.append(time.perf_counter() - begin)
    return metrics.davis_total(per_object), min(times)


if __name__ == "__main__":
    sys.exit(main())
