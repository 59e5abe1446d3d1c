"""What the decoding process runs. Kept apart because it starts often in bad weather: no storage, no index, no torch."""

from __future__ import annotations

import json
from typing import Any

from videomac.data import clip
from videomac.data.pairs import Slot, make_pairs
from videomac.data.recipe import Recipe
from videomac.data.sample import Sample
from videomac.data.subprocess_worker import Handler
from videomac.storage.entries import Content


def decoder(setup: dict[str, Any]) -> Handler:
    """What the child process runs: the pairs of one opened clip."""
    recipe = Recipe.from_json(json.dumps(setup), origin="the decoding process")
    clip.decoder_version(recipe.decoder)

    def handle(header: dict[str, Any], content: Content) -> tuple[dict[str, Any], Any]:
        slots = [Slot(*values) for values in header["slots"]]
        pairs = make_pairs(recipe, Sample(**header["sample"]), content, slots)
        answer = {"codes": pairs.code_n.tolist(), "decode_s": pairs.decode_s, "resize_s": pairs.resize_s}
        return answer, pairs.frames_n2hw3

    return handle
