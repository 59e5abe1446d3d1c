"""What tests of features share: a frame, a section of the configuration, and the features of both."""

from __future__ import annotations

import numpy as np

from videomac import config
from videomac.propagation.extractors import extract
from videomac.propagation.load import load_extractor

FRAME = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def section(source="random", **keys):
    return config.Candidate(label="x", source=source, **keys)


def extracted(source, stage=1, **keys):
    extractor = load_extractor(source, stage, **keys)
    return extractor, next(extract(extractor, [FRAME]))
