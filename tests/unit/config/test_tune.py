"""A sweep's space: how it is given, and that every trial of it can be run, known without trying every combination."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videomac.config import Pretrain, Tune, load
from videomac.config.tune import combinations_to_check
from videomac.errors import ConfigError


def sweep(*overrides: str) -> Tune:
    return load(Tune, "configs/tune/mask_momentum.yaml", overrides)


def test_a_key_of_the_space_is_overridden_or_added_by_its_dotted_name():
    assert sweep("space.model.mask_ratio=[0.6]").space["model.mask_ratio"] == [0.6]
    assert sweep("space.optim.blr=[1.0e-3, 2.0e-3]").space["optim.blr"] == [1e-3, 2e-3]
    assert sweep("space={model.gamma: [0.0]}").space == {"model.gamma": [0.0]}


def test_twelve_keys_of_four_values_are_checked_in_a_second():
    space = {
        "data.image_size": [[160, 160], [224, 224], [96, 96], [128, 128]],
        "model.cell": [16, 32, 16, 32],
        "model.mask_ratio": [0.5, 0.6, 0.7, 0.75],
        "data.pairs_per_open": [1, 2, 4, 8],
        "train.batch_size": [32, 64, 96, 128],
        "train.micro_batch": [8, 16, 32, 64],
        "optim.blr": [0.1, 0.2, 0.3, 0.4],
        "optim.weight_decay": [0.0, 0.1, 0.2, 0.3],
        "model.decoder_dim": [64, 128, 256, 512],
        "model.decoder_depth": [1, 2, 3, 4],
        "model.gamma": [0.0, 0.5, 1.0, 2.0],
        "data.shuffle_window": [4, 8, 16, 32],
    }
    tune = sweep()

    begin = time.process_time()
    tune.with_values(space=space)

    assert time.process_time() - begin < 1.0
    assert len(list(combinations_to_check(space))) < 200


def test_values_that_fit_alone_but_not_together_are_named():
    with pytest.raises(ConfigError) as caught:
        sweep("space={data.image_size: [[160, 160], [48, 48]], model.cell: [16, 32], model.mask_ratio: [0.5]}")

    assert "space.data.image_size: [48, 48] cannot be run: data.image_size: 48x48 is not" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        sweep("space={train.micro_batch: [16, 6], data.pairs_per_open: [2, 4]}", "pretrain.data.pairs_per_open=2")
    assert "space: train.micro_batch = 6, data.pairs_per_open = 4 cannot be run together:" in str(caught.value)


def test_a_value_that_fits_only_with_its_partners_in_the_space_is_taken():
    space = sweep("space={train.micro_batch: [6, 10], data.pairs_per_open: [1, 2]}").space

    assert space["train.micro_batch"] == [6, 10]  # 4, the configuration's own pairs_per_open, divides neither


POOL = {
    "data.image_size": [[64, 64], [96, 96], [48, 48], [64, 80]],
    "model.cell": [16, 32],
    "model.mask_ratio": [0.5, 0.75, 0.95],
    "data.pairs_per_open": [1, 2, 3, 4],
    "data.pair_sampling": ["uniform", "neighbours_6fps"],
    "train.batch_size": [12, 32],
    "train.micro_batch": [6, 8, 12],
    "train.steps": [2, None],
    "train.epochs": [None, 2.0],
    "workers": [{"count": 1}, {"count": 2, "min_count": 2}, {"min_count": 2}],
    "model.encoder.name": ["resnet18", "resnet34"],
    "model.encoder.variant": ["standard", "paper"],
    "probe.evaluate.stage": [1, 3],
    "probe.evaluate.stride_reduction": [1, 2, 4],
    "optim.blr": [0.1, 0.2],
}
BASE = {
    "run.name": "a", "data.manifest": "m", "train.steps": 2, "train.batch_size": 24, "train.micro_batch": 12,
    "data.image_size": [64, 64], "data.pairs_per_open": 1, "probe": {"evaluate": {"data": {"root": "d"}}},
}  # fmt: skip
SPACES = st.dictionaries(st.sampled_from(sorted(POOL)), st.just(None), min_size=1, max_size=4).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(st.sampled_from(POOL[key]), min_size=1, max_size=3, unique_by=repr) for key in keys}
    )
)


@settings(max_examples=150, deadline=None)
@given(SPACES)
def test_the_check_finds_what_the_whole_product_would(space):
    pretrain = load(Pretrain, None, [f"{key}={json.dumps(value)}" for key, value in BASE.items()])

    def fits(values) -> bool:
        try:
            pretrain.with_values(**values)
        except ConfigError:
            return False
        return True

    product = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]

    assert all(map(fits, combinations_to_check(space))) == all(map(fits, product))
