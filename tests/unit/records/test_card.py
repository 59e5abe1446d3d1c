"""Export cards: what 66eb288 wrote is read and written again key by key."""

from __future__ import annotations

import json

import pytest

from videomac.errors import ExportError
from videomac.records.card import Card


@pytest.mark.parametrize("variant", ["standard", "paper"])
def test_cards_of_66eb288_are_read_and_written_key_by_key(fixtures, variant):
    content = (fixtures / f"evaluation_66eb288/card_{variant}.json").read_bytes()
    card = Card.from_json(content, "card.json")
    assert card.variant == variant
    assert (card.timm is None) == (variant == "paper")
    assert card.to_plain() == json.loads(content)


def test_five_fields_are_enough_to_load_an_export():
    plain = {"architecture": "resnet18", "variant": "standard", "mean": [0.5], "std": [0.5], "weights_sha256": "abc"}
    card = Card.from_json(json.dumps(plain), "card.json")
    assert (card.timm, card.strides, card.checked) == (None, (), None)
    for key in plain:
        with pytest.raises(ExportError, match=rf"card\.json: not a Card record: {key}: Field required"):
            Card.from_json(json.dumps({k: v for k, v in plain.items() if k != key}), "card.json", ExportError)
